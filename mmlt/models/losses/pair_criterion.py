"""What all criteria of similarities and targets have in common."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn as nn

from mmlt.functional.numerics import REDUCTIONS, reduce_samples


class PairCriterion(nn.Module, ABC):
    r"""Base of the criteria of pairs: a subclass writes the loss of each sample.

    .. math:: L = w \cdot \operatorname{reduce}_i (v_i \, l_i)

    with the losses l of :meth:`per_sample`, the samples' weights v and the ``loss_weight`` w. The
    mean divides by the number of samples, not by the sum of their weights.

    Every such criterion fits the joint slot (similarities are logits) and the slots that compare
    with a bank (similarities are cosines, ``negative_mask`` the classes that it remembers).

    Args:
        reduction (str): 'mean' | 'sum' | 'none', over samples. Defaults to 'mean'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        similarity (N, K), target (N,) labels or (N, K) soft labels, weight (N,), negative_mask
        (N, K) or (K,) bool -> () or (N,).

    Raises:
        ValueError: An unknown reduction, or a weight that is not finite.

    Example:
        >>> class Hinge(PairCriterion):
        ...     def per_sample(self, similarity, target, negative_mask=None):
        ...         return (1 - similarity.gather(1, target[:, None])[:, 0]).clamp(min=0)
        >>> Hinge(loss_weight=2.0)(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
        tensor(2.)
    """

    def __init__(self, reduction: str = 'mean', loss_weight: float = 1.0):
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f'reduction must be one of {REDUCTIONS}, got {reduction!r}')
        if not math.isfinite(loss_weight):
            raise ValueError(f'loss_weight must be finite, got {loss_weight}')
        self.reduction = reduction
        self.loss_weight = loss_weight

    @abstractmethod
    def per_sample(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the loss (N,) of each sample."""

    def forward(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None = None,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Weigh and reduce the samples' losses."""
        loss = self.per_sample(similarity, target, negative_mask)
        loss = reduce_samples(loss, weight, self.reduction)
        return loss if self.loss_weight == 1 else self.loss_weight * loss
