"""A linear classifier of unit features, of unit rows too if wanted."""

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from mmlt.functional.linear import unit_linear
from mmlt.functional.numerics import unit_rows as to_unit_rows
from mmlt.models.layers.normed_linear import NormedLinear


@MODELS.register_module()
class UnitFeatureLinear(NormedLinear):
    r"""Linear classifier of unit features: :math:`s_k = w_k^T x / \|x\| + b_k`.

    With ``unit_rows`` both are unit vectors: the cosine and a bias. For the study of what to
    normalise; with sigmoid criteria neither does well, as the logits stay within the rows' lengths.

    Args:
        in_features (int): Width D of the features.
        out_features (int): Number of classes K.
        bias (bool): Whether each class has a bias. Defaults to True.
        unit_rows (bool): Whether the rows are normalised too. Defaults to False.

    Shape:
        features (N, D) -> logits (N, K).

    Source:
        BCE3S, appendix F and table 6: 'feature', and with ``unit_rows`` both. :class:`NormedLinear`
        is 'classifier'.

    Example:
        >>> layer = UnitFeatureLinear(2, 3, bias=False, unit_rows=True)
        >>> bool((layer(torch.tensor([[3.0, 4.0]])).abs() <= 1).all())
        True
    """

    def __init__(self, in_features: int, out_features: int, bias=True, unit_rows: bool = False):
        super().__init__(in_features, out_features, bias)
        self.unit_rows = unit_rows

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the logits (N, K) of features (N, D)."""
        if self.unit_rows:
            return unit_linear(features, self.weight, self.bias, unit_features=True)
        return F.linear(to_unit_rows(features), self.weight, self.bias)

    def extra_repr(self) -> str:
        """Describe the layer in one line."""
        return f'{super().extra_repr()}, unit_rows={self.unit_rows}'
