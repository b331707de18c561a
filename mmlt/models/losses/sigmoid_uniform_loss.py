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
        chunk_size (int, optional): Rows of the Gram matrix computed at a time. Defaults to None:
            1024.
        sample_size (int, optional): In training, take this many rows, drawn anew in every step,
            and the pairs among them for all pairs: an unbiased estimate that costs what so many
            classes cost. Defaults to None: all rows.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        weight (K, D) -> ().

    Raises:
        ValueError: ``sample_size`` below 2.

    Source:
        BCE3S, eq. 5. Drawing rows is an addition.

    Example:
        >>> SigmoidUniformLoss()(torch.eye(3)).item()  # 2 log 2: orthogonal vectors
        1.3862943649291992
    """

    def __init__(
        self,
        include_self: bool = False,
        chunk_size: int | None = None,
        loss_weight: float = 1.0,
        sample_size: int | None = None,
    ):
        super().__init__()
        if sample_size is not None and sample_size < 2:
            raise ValueError(f'sample_size must be >= 2, got {sample_size}')
        self.sample_size = sample_size
        self.include_self = include_self
        self.chunk_size = chunk_size
        self.loss_weight = loss_weight

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Compute the loss of the class vectors; they are normalised inside."""
        loss = sigmoid_uniform_loss(
            weight,
            include_self=self.include_self,
            chunk_size=self.chunk_size,
            sample_size=self.sample_size if self.training else None,
        )
        return loss if self.loss_weight == 1 else self.loss_weight * loss
