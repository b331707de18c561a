"""Uniform separability of the class vectors by cross-entropy."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional import softmax_uniform_loss


@MODELS.register_module()
class SoftmaxUniformLoss(nn.Module):
    r"""Mean over classes k of :math:`-\log(e^{w_k^T w_k} / \sum_j e^{w_k^T w_j})`, unit rows w.

    Fits the uniform slot of :class:`TripartiteHead`.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        weight (K, D) -> ().

    Source:
        BCE3S, eq. 24 (CE3S).

    Example:
        >>> round(SoftmaxUniformLoss()(torch.eye(3)).item(), 4)  # log(e + 2) - 1
        0.5514
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Compute the loss of the class vectors; they are normalised inside."""
        return self.loss_weight * softmax_uniform_loss(weight)
