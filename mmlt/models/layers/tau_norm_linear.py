"""A linear classifier whose rows are divided by a power of their length, in the test alone."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.registry import MODELS


@MODELS.register_module()
class TauNormLinear(nn.Linear):
    r"""tau-normalisation: :math:`s_k = w_k^T x / \|w_k\|^\tau` in the test.

    It trains, and loads the checkpoint of, an ``nn.Linear``; in evaluation mode the rows are
    divided and the bias is left out.

    Args:
        in_features (int): Width D of the features.
        out_features (int): Number of classes K.
        bias (bool): Whether there is a bias, for the training. Defaults to True.
        tau (float): In [0, 1]; 0 only leaves out the bias. Defaults to 1.0.

    Shape:
        features (N, D) -> logits (N, K).

    Raises:
        ValueError: ``tau`` outside its range.

    Source:
        Kang et al. 2020 (Decoupling), section 4.

    Example:
        >>> layer = TauNormLinear(64, 10, tau=0.7).eval()
        >>> layer(torch.rand(2, 64)).shape
        torch.Size([2, 10])
    """

    wants = ('in_features', 'out_features')

    def __init__(self, in_features: int, out_features: int, bias: bool = True, tau: float = 1.0):
        super().__init__(in_features, out_features, bias)
        if not 0 <= tau <= 1:
            raise ValueError(f'tau of TauNormLinear must be in [0, 1], got {tau}')
        self.tau = float(tau)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the logits (N, K) of features (N, D)."""
        if self.training:
            return super().forward(features)
        norm = self.weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return F.linear(features, self.weight / norm**self.tau)

    def extra_repr(self) -> str:
        """Describe the layer in one line."""
        return f'{super().extra_repr()}, tau={self.tau}'
