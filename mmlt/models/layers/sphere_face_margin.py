"""The oldest margin of face recognition: the angle times a whole number."""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional import ldam_logits


@MODELS.register_module()
class SphereFaceMargin(nn.Module):
    r"""SphereFace: :math:`z_y = s \, \psi(\theta_y)`, the cosine of m times the angle.

    .. math:: \psi(\theta) = (-1)^k \cos(m \theta) - 2 k, \quad k = \lfloor m \theta / \pi \rfloor

    which is :math:`\cos(m \theta)` up to :math:`\pi / m` and falls on behind it. As m is whole,
    :math:`\cos(m \theta)` is a polynomial of the cosine (Chebyshev's): no ``acos`` is in the
    gradient, which is finite at every angle.

    Args:
        multiplier (int): m >= 1; 1 is no margin. Defaults to 2.

    Shape:
        cosine (N, K), target (N,) labels -> logits (N, K).

    Raises:
        ValueError: ``multiplier`` is no whole number >= 1.

    Source:
        DBM, table 1; Liu et al. (2017), eq. 7, whose m is 4 and is mixed with the plain cosine at
        the start of training; here it is not mixed.

    Example:
        >>> cosine, target = torch.tensor([[0.5, 0.1]]), torch.tensor([0])
        >>> SphereFaceMargin(2)(cosine, target, scale=1.0)  # cos(120 degrees)
        tensor([[-0.5000,  0.1000]])
    """

    def __init__(self, multiplier: int = 2):
        super().__init__()
        if not isinstance(multiplier, int) or multiplier < 1:
            raise ValueError(f'multiplier must be a whole number >= 1, got {multiplier!r}')
        self.multiplier = multiplier

    def forward(self, cosine: torch.Tensor, target: torch.Tensor, scale: float) -> torch.Tensor:
        """Compute the logits."""
        margin = torch.zeros(cosine.shape[1:], device=cosine.device)
        logits = ldam_logits(cosine, target, margin, scale=scale)  # without a margin, checked
        index = target[:, None]
        own = cosine.to(logits.dtype).gather(1, index)
        own = own - (own - own.clamp(-1, 1)).detach()  # what rounding has put beyond +-1
        previous, power = torch.ones_like(own), own
        for _ in range(self.multiplier - 1):
            previous, power = power, 2 * own * power - previous
        turns = (self.multiplier * own.detach().acos() / math.pi).floor()
        turns = turns.clamp(max=self.multiplier - 1)
        value = (1 - 2 * (turns % 2)) * power - 2 * turns
        return logits.scatter(1, index, scale * value)
