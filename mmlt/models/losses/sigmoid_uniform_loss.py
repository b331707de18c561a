"""Uniform separability of the class vectors by binary cross-entropy."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional import sigmoid_uniform_loss


@MODELS.register_module()
class SigmoidUniformLoss(nn.Module):
    r"""Mean over classes k of :math:`\sum_{j \ne k} \log(1+e^{w_k^T w_j})`, unit rows w.

    Pushes all pairs of class vectors apart with the same force, whatever the class sizes; the
    optimum is a simplex equiangular tight frame. Fits the uniform slot of :class:`TripartiteHead`.

    Args:
        include_self (bool): Add the constant positive term log(1 + 1/e) of eq. 5, which the paper
            leaves out of its experiments. Defaults to False.
        chunk_size (int, optional): Rows computed at a time; bounds the memory to chunk_size x K
            for thousands of classes. Defaults to None: all at once.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        weight (K, D) -> ().

    Source:
        BCE3S, eq. 5.

    Example:
        >>> SigmoidUniformLoss()(torch.eye(3)).item()  # 2 log 2: orthogonal vectors
        1.3862943649291992
    """

    def __init__(
        self,
        include_self: bool = False,
        chunk_size: int | None = None,
        loss_weight: float = 1.0,
    ):
        super().__init__()
        self.include_self = include_self
        self.chunk_size = chunk_size
        self.loss_weight = loss_weight

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Compute the loss of the class vectors; they are normalised inside."""
        return self.loss_weight * sigmoid_uniform_loss(
            weight, include_self=self.include_self, chunk_size=self.chunk_size
        )
