"""A cosine classifier with a bias."""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional.linear import unit_linear
from mmlt.functional.numerics import upcast


@MODELS.register_module()
class CosineBiasLinear(nn.Linear):
    r"""Cosine classifier with a learnable bias: :math:`z_k = s \cos\theta_k + b_k`.

    For the published NCL on photos. A margin on the angle has no place beside a bias: DBM and LDAM
    take :class:`CosineLinear`. Computed in float32 or better, also under autocast.

    Args:
        in_features (int): Width D of the features.
        out_features (int): Number of classes K.
        scale (float): Factor s of the cosines, > 0. Defaults to 16.0 (NCL on ImageNet-LT and
            Places-LT; 32 on iNaturalist).

    Shape:
        features (N, D) -> logits (N, K).

    Raises:
        ValueError: ``scale`` not positive.

    Source:
        NCL (Li et al., CVPR 2022), as released: rows of U(-1/sqrt(D), 1/sqrt(D)), biases 0.

    Example:
        >>> layer = CosineBiasLinear(64, 10)
        >>> layer(torch.rand(2, 64)).shape
        torch.Size([2, 10])
    """

    wants = ('in_features', 'out_features')

    def __init__(self, in_features: int, out_features: int, scale: float = 16.0):
        if not 0 < scale < math.inf:
            raise ValueError(f'scale must be positive, got {scale}')
        super().__init__(in_features, out_features)
        self.scale = float(scale)

    def reset_parameters(self) -> None:
        """Draw the initial rows; the biases are 0."""
        bound = 1 / math.sqrt(self.in_features)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the logits (N, K) of features (N, D)."""
        with torch.autocast(features.device.type, enabled=False):
            cosine = unit_linear(upcast(features), upcast(self.weight), unit_features=True)
            return self.scale * cosine + upcast(self.bias)

    def extra_repr(self) -> str:
        """Describe the layer in one line."""
        return f'{self.in_features}, {self.out_features}, scale={self.scale}'
