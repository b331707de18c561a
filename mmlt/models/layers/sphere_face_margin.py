"""The oldest margin of face recognition: the angle times a whole number."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional import sphere_face_logits
from mmlt.functional.margins import check_multiplier


@MODELS.register_module()
class SphereFaceMargin(nn.Module):
    r"""SphereFace: :math:`z_y = s \, \psi(\theta_y)`, the cosine of m times the angle.

    .. math:: \psi(\theta) = (-1)^k \cos(m \theta) - 2 k, \quad k = \lfloor m \theta / \pi \rfloor

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
        check_multiplier(multiplier)
        self.multiplier = multiplier

    def forward(self, cosine: torch.Tensor, target: torch.Tensor, scale: float) -> torch.Tensor:
        """Compute the logits; see :func:`mmlt.functional.sphere_face_logits`."""
        return sphere_face_logits(cosine, target, self.multiplier, scale)
