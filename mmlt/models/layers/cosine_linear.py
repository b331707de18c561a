"""A linear classifier that sees nothing but angles."""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional.linear import unit_linear
from mmlt.functional.numerics import unit_rows, upcast


@MODELS.register_module()
class CosineLinear(nn.Module):
    r"""Cosine classifier: :math:`z_k = s \cos\theta_k = s \, w_k^T x / (\|w_k\| \|x\|)`.

    The margins of DBM and LDAM act on the cosine, so the head takes it from :meth:`cosine`; the
    test needs :meth:`forward` only. Computed in float32 or better, also under autocast: near 1,
    half precision cannot tell angles below 2 degrees apart, bfloat16 below 5.

    Args:
        in_features (int): Width D of the features.
        out_features (int): Number of classes K.
        scale (float): Factor s of the cosines, > 0. Defaults to 32.0 (DBM on CIFAR-LT; 30 on
            ImageNet-LT and iNaturalist).
        bias (bool): False; a bias has no place among cosines. Defaults to False.

    Shape:
        features (N, D) -> logits (N, K).

    Raises:
        ValueError: ``scale`` not positive, or ``bias`` asked for.

    Source:
        DBM, eq. 2; initialisation as in LDAM's released code: rows of U(-1, 1), then unit length.

    Example:
        >>> layer = CosineLinear(64, 10)
        >>> layer(torch.rand(2, 64)).shape
        torch.Size([2, 10])
    """

    wants = ('in_features', 'out_features')

    def __init__(
        self, in_features: int, out_features: int, scale: float = 32.0, bias: bool = False
    ):
        super().__init__()
        if not 0 < scale < math.inf:
            raise ValueError(f'scale must be positive, got {scale}')
        if bias:
            raise ValueError('bias must be False: a cosine classifier has none')
        self.in_features = in_features
        self.out_features = out_features
        self.scale = float(scale)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial rows, all of unit length."""
        with torch.no_grad():
            self.weight.copy_(unit_rows(self.weight.uniform_(-1, 1)))

    def cosine(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the cosines (N, K) of features (N, D); they may pass +-1 by rounding."""
        with torch.autocast(features.device.type, enabled=False):
            return unit_linear(upcast(features), upcast(self.weight), unit_features=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the logits (N, K) of features (N, D)."""
        return self.scale * self.cosine(features)

    def extra_repr(self) -> str:
        """Describe the layer in one line."""
        return f'{self.in_features}, {self.out_features}, scale={self.scale}'
