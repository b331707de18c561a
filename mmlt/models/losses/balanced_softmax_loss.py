"""Cross-entropy on logits shifted by the class frequencies."""

import math

import torch
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional import class_log_prior, softmax_pair_loss
from mmlt.models.losses.pair_criterion import PairCriterion


@MODELS.register_module()
class BalancedSoftmaxLoss(PairCriterion):
    r"""Softmax criterion of :math:`s_k + \tau \log \pi_k` with the class frequencies :math:`\pi`.

    The shift is there in training only: the model learns scores that are right once the frequent
    classes have lost their head start. tau = 1 is balanced softmax; any other is the loss of logit
    adjustment; 0 is :class:`SoftmaxPairLoss`. Fits the joint slot of :class:`TripartiteHead`; on
    DBM's logits it is DBM-BS.

    Args:
        class_counts: What :func:`mmlt.load_class_counts` takes, in any order;
            :class:`TripartiteHead` fills it in from its own when the config leaves it out.
        tau (float): Strength of the shift, >= 0. Defaults to 1.0.
        reduction (str): 'mean' | 'sum' | 'none', over samples. Defaults to 'mean'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        similarity (N, K), target (N,) labels or (N, K) soft labels -> () or (N,).

    Raises:
        ValueError: ``tau`` outside its range, or another number of classes than the counts have.

    Source:
        DBM, eqs. 4 and 11; Ren et al. (2020, balanced softmax); Menon et al. (2021, logit
        adjustment).

    Example:
        >>> loss = BalancedSoftmaxLoss([90, 10])
        >>> round(loss(torch.zeros(1, 2), torch.tensor([1])).item(), 4)  # log 10
        2.3026
    """

    wants = ('class_counts',)

    def __init__(
        self, class_counts, tau: float = 1.0, reduction: str = 'mean', loss_weight: float = 1.0
    ):
        super().__init__(reduction, loss_weight)
        if not 0 <= tau < math.inf:
            raise ValueError(f'tau must be >= 0, got {tau}')
        shift = tau * class_log_prior(load_class_counts(class_counts))
        # Derived from the class counts, so no business of a checkpoint.
        self.register_buffer('shift', shift.float(), persistent=False)
        self.tau = tau

    def per_sample(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the losses (N,); see :func:`mmlt.functional.softmax_pair_loss`."""
        if similarity.shape[-1:] != self.shift.shape:
            raise ValueError(
                f'class_counts has {len(self.shift)} classes, similarity has shape '
                f'{tuple(similarity.shape)}'
            )
        # The float32 shift takes half similarities along.
        return softmax_pair_loss(
            similarity + self.shift, target, negative_mask=negative_mask, reduction='none'
        )
