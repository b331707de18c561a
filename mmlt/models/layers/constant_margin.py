"""The margins of face recognition: the same for every class."""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional import dbm_logits, ldam_logits

_LIMITS = {'cosine': 2.0, 'angle': math.pi}


@MODELS.register_module()
class ConstantMargin(nn.Module):
    r"""CosFace :math:`z_y = s (\cos\theta_y - m)` or ArcFace :math:`z_y = s \cos(\theta_y + m)`.

    Args:
        margin (float): m; in units of the cosine and in [0, 2], or in radians and in [0, pi].
        kind (str): 'cosine' (CosFace) or 'angle' (ArcFace). Defaults to 'cosine'.

    Shape:
        cosine (N, K), target (N,) labels -> logits (N, K).

    Raises:
        ValueError: An argument outside its range.

    Source:
        DBM, table 1; CosFace (Wang et al., 2018); ArcFace (Deng et al., 2019). Past pi, see
        :func:`mmlt.functional.cos_plus_margin`.

    Example:
        >>> cosine, target = torch.zeros(1, 2), torch.tensor([1])
        >>> ConstantMargin(0.5)(cosine, target, scale=1.0)
        tensor([[ 0.0000, -0.5000]])
        >>> ConstantMargin(0.5, kind='angle')(cosine, target, scale=1.0)  # cos(pi / 2 + 0.5)
        tensor([[ 0.0000, -0.4794]])
    """

    def __init__(self, margin: float, kind: str = 'cosine'):
        super().__init__()
        if kind not in _LIMITS:
            raise ValueError(f'kind must be one of {tuple(_LIMITS)}, got {kind!r}')
        if not 0 <= margin <= _LIMITS[kind]:
            raise ValueError(
                f'margin must be in [0, {_LIMITS[kind]:.4g}] for kind {kind!r}, got {margin}'
            )
        self.margin = margin
        self.kind = kind

    def forward(self, cosine: torch.Tensor, target: torch.Tensor, scale: float) -> torch.Tensor:
        """Compute the logits: LDAM's or DBM's with one margin for all classes."""
        # Nothing half: the margin keeps its digits, whatever the dtype of the cosines.
        dtype = torch.promote_types(cosine.dtype, torch.float32)
        margin = torch.full(cosine.shape[1:], self.margin, dtype=dtype, device=cosine.device)
        if self.kind == 'cosine':
            return ldam_logits(cosine, target, margin, scale=scale)
        return dbm_logits(cosine, target, margin, scale=scale, instance_margin='none')
