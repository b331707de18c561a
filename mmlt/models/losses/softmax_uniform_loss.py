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
        chunk_size (int, optional): Rows computed at a time; bounds the memory to chunk_size x K
            for thousands of classes. Defaults to None: all at once.

    Shape:
        weight (K, D) -> ().

    Source:
        BCE3S, eq. 24 (CE3S).

    Example:
        >>> round(SoftmaxUniformLoss()(torch.eye(3)).item(), 4)  # log(e + 2) - 1
        0.5514
    """

    def __init__(self, loss_weight: float = 1.0, chunk_size: int | None = None):
        super().__init__()
        self.loss_weight = loss_weight
        self.chunk_size = chunk_size

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Compute the loss of the class vectors; they are normalised inside."""
        return self.loss_weight * softmax_uniform_loss(weight, chunk_size=self.chunk_size)
