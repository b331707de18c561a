"""Cross-entropy that looks away from what is easy already."""

import math

import torch
from mmpretrain.registry import MODELS

from mmlt.functional import softmax_pair_loss
from mmlt.models.losses.pair_criterion import PairCriterion


@MODELS.register_module()
class SoftmaxFocalLoss(PairCriterion):
    r"""Focal criterion: :math:`-(1 - p_y)^\gamma \log p_y`, with the softmax :math:`p`.

    Args:
        gamma (float): Focus, >= 0; 0 is :class:`SoftmaxPairLoss`. Defaults to 1.0.
        reduction (str): 'mean' | 'sum' | 'none', over samples. Defaults to 'mean'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        similarity (N, K), target (N,) labels or (N, K) soft labels -> () or (N,). For soft labels,
        :math:`-\log p_y` is the cross-entropy and p_y its negative exponential.

    Raises:
        ValueError: ``gamma`` outside its range, or an unknown reduction.

    Source:
        Lin et al. (2017), for a softmax as in the baseline of LDAM-DRW's released code, which
        trains with gamma 1. Cui et al. (2019, class-balanced loss) use sigmoids and choose gamma
        among 0.5, 1 and 2.

    Example:
        >>> loss = SoftmaxFocalLoss(gamma=2.0)
        >>> round(loss(torch.zeros(1, 2), torch.tensor([0])).item(), 4)  # log(2) / 4
        0.1733
    """

    def __init__(self, gamma: float = 1.0, reduction: str = 'mean', loss_weight: float = 1.0):
        super().__init__(reduction, loss_weight)
        if not 0 <= gamma < math.inf:
            raise ValueError(f'gamma must be >= 0, got {gamma}')
        self.gamma = gamma

    def per_sample(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the losses (N,) from those of the cross-entropy."""
        loss = softmax_pair_loss(similarity, target, negative_mask=negative_mask, reduction='none')
        # 1 - p without its rounding for p near 1. For gamma < 1 the power's slope at 0 is infinite,
        # and times a loss of 0 it would be NaN.
        missing = -torch.expm1(-loss)
        return missing.clamp(min=torch.finfo(loss.dtype).tiny) ** self.gamma * loss
