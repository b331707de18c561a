"""Slots that tie the experts of one head: what they learn from each other, and about what."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional.checks import check_choice, check_not_negative
from mmlt.functional.distillation import (
    MASKS,
    check_num_hard,
    hard_classes,
    mask_easy_classes,
    mutual_distillation,
)
from mmlt.models.slots.expert_batch import ExpertBatch


class ExpertTie(nn.Module, ABC):
    r"""Base of the slots that compare experts: a subclass writes the loss of balanced logits.

    .. math:: b^m_k = z^m_k + \tau \log n_k

    with the logits z of the plain view as the criteria get them, a margin included, and the raw
    counts n. Computed in float32 or better, also under autocast.

    Args:
        class_counts (optional): What :func:`mmlt.load_class_counts` takes; ``ExpertsHead`` fills
            it in. Needed unless ``tau`` is 0.
        tau (float): Strength of the shift, >= 0. Defaults to 1.0.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: An argument outside its range, no counts, or those of other classes.
    """

    wants = ('class_counts',)

    def __init__(self, class_counts=None, tau: float = 1.0, loss_weight: float = 1.0):
        super().__init__()
        check_not_negative('tau', tau)
        if not math.isfinite(loss_weight):
            raise ValueError(f'loss_weight must be finite, got {loss_weight}')
        self.tau = tau
        self.loss_weight = loss_weight
        shift = None
        if tau:
            if class_counts is None:
                raise ValueError(
                    f'class_counts are needed by {type(self).__name__}: give them to the head, or '
                    'set tau=0'
                )
            counts = torch.tensor(load_class_counts(class_counts), dtype=torch.float64)
            shift = (tau * counts.log()).float()
        # Derived from the class counts, so no business of a checkpoint.
        self.register_buffer('shift', shift, persistent=False)

    def check_experts(self, num_experts: int) -> None:
        """Refuse a number of experts that the tie cannot work with."""

    def forward(self, batch: ExpertBatch) -> torch.Tensor:
        """Compute the loss of the experts' balanced logits."""
        with torch.autocast(batch.experts[0].views[0].device.type, enabled=False):
            logits = batch.logits()
            if self.shift is None:
                return self.loss(logits, batch)
            if logits.shape[-1:] != self.shift.shape:
                raise ValueError(
                    f'class_counts of {type(self).__name__} has {len(self.shift)} classes, the '
                    f'experts have {logits.shape[-1]}'
                )
            return self.loss(logits + self.shift, batch)

    @abstractmethod
    def loss(self, logits: torch.Tensor, batch: ExpertBatch) -> torch.Tensor:
        """Compute the loss of balanced logits (M, N, K)."""


def _check_several(name: str, num_experts: int) -> None:
    if num_experts < 2:
        raise ValueError(
            f'{name} compares experts with each other, but num_experts is {num_experts}: take more '
            'experts, or leave the distillation out (NCLHead: distillation_weight=0)'
        )


@MODELS.register_module()
class MutualDistillation(ExpertTie):
    r"""Experts learn each other's probabilities.

    .. math:: L = \frac{\lambda}{M - 1} \sum_{i \ne j} KL(P^j \| P^i), \quad P^m = softmax(b^m)

    Args:
        class_counts (optional): See :class:`ExpertTie`.
        tau (float): See :class:`ExpertTie`. Defaults to 1.0.
        loss_weight (float): lambda. Defaults to 0.6.

    Shape:
        batch -> ().

    Raises:
        ValueError: One expert alone.

    Source:
        NCL (Li et al., CVPR 2022), on all classes; see
        :func:`mmlt.functional.mutual_distillation`.

    Example:
        >>> MutualDistillation(class_counts=[9, 1]).loss(torch.zeros(3, 1, 2), None)
        tensor(0.)
    """

    def __init__(self, class_counts=None, tau: float = 1.0, loss_weight: float = 0.6):
        super().__init__(class_counts, tau, loss_weight)

    def check_experts(self, num_experts: int) -> None:
        """Refuse one expert alone."""
        _check_several('MutualDistillation', num_experts)

    def loss(self, logits: torch.Tensor, batch: ExpertBatch) -> torch.Tensor:
        """Compute the distillation on all classes."""
        return self.loss_weight * mutual_distillation(logits)


@MODELS.register_module()
class HardCategoryMining(ExpertTie):
    r"""Cross-entropy, and mutual distillation, of each expert over the classes that are hard.

    .. math::
        L = r \sum_m CE(h^m, y) + \frac{\lambda}{M - 1} \sum_{i \ne j} KL(P^j \| P^i), \quad
        P^m = softmax(h^m)

    The hard classes are the label and those of the largest logits beside it, by the first expert,
    without prior and margin; the same for all experts. h are the balanced logits of these
    classes, see :func:`mmlt.functional.mask_easy_classes`.

    Args:
        num_classes (int): K; ``ExpertsHead`` fills it in.
        class_counts (optional): See :class:`ExpertTie`.
        num_hard (int, optional): Hard classes, the label included, in [2, K]. Defaults to None: 30
            percent of the classes, rounded down, but at least 2.
        hard_mask (str): 'zero' (as released: a masked logit of 0 stays a weak negative) or
            'exclude' (softmax over the hard classes alone). Defaults to 'zero'.
        distillation_weight (float): lambda, >= 0. Defaults to 0.6.
        tau (float): See :class:`ExpertTie`. Defaults to 1.0.
        loss_weight (float): r. Defaults to 1.0.

    Shape:
        batch -> ().

    Raises:
        ValueError: An argument outside its range; distillation with one expert alone; mixtures.

    Source:
        NCL (Li et al., CVPR 2022), hard-category mining.

    Example:
        >>> HardCategoryMining(num_classes=100, tau=0).num_hard
        30
    """

    wants = ('num_classes', 'class_counts')

    def __init__(
        self,
        num_classes: int,
        class_counts=None,
        num_hard: int | None = None,
        hard_mask: str = 'zero',
        distillation_weight: float = 0.6,
        tau: float = 1.0,
        loss_weight: float = 1.0,
    ):
        super().__init__(class_counts, tau, loss_weight)
        num_hard = max(2, 3 * num_classes // 10) if num_hard is None else num_hard
        check_num_hard(num_hard, num_classes)
        if num_hard < 2:
            raise ValueError(f'num_hard must be at least 2, got {num_hard}: the label is one of it')
        check_choice('hard_mask', hard_mask, MASKS)
        check_not_negative('distillation_weight', distillation_weight)
        self.num_hard = num_hard
        self.hard_mask = hard_mask
        self.distillation_weight = distillation_weight

    def check_experts(self, num_experts: int) -> None:
        """Refuse distillation with one expert alone."""
        if self.distillation_weight:
            _check_several('distillation_weight of HardCategoryMining', num_experts)

    def loss(self, logits: torch.Tensor, batch: ExpertBatch) -> torch.Tensor:
        """Compute cross-entropy and distillation on the hard classes."""
        labels = batch.plain_labels('HardCategoryMining')
        hard = hard_classes(batch.bare_logits(), labels, self.num_hard)
        partial = mask_easy_classes(logits, hard, self.hard_mask)
        m, n, k = partial.shape
        ce = F.cross_entropy(partial.reshape(m * n, k), labels.repeat(m), reduction='sum')
        loss = self.loss_weight * ce / max(n, 1)  # an empty batch has loss 0
        if self.distillation_weight:
            loss = loss + self.distillation_weight * mutual_distillation(partial)
        return loss
