"""Cross-entropy over the classes: the criterion of CE3S."""

import torch
from mmpretrain.registry import MODELS

from mmlt.functional import softmax_pair_loss
from mmlt.models.losses.pair_criterion import PairCriterion


@MODELS.register_module()
class SoftmaxPairLoss(PairCriterion):
    r"""Softmax criterion: :math:`-\log(e^{s_y} / \sum_k e^{s_k})`.

    Fits the joint slot (eq. 22) and the contrast slot (eq. 23) of :class:`TripartiteHead`.

    Args:
        reduction (str): 'mean' | 'sum' | 'none', over samples. Defaults to 'mean'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        similarity (N, K), target (N,) labels or (N, K) soft labels -> () or (N,).

    Source:
        BCE3S, eqs. 22 and 23.

    Example:
        >>> SoftmaxPairLoss()(torch.zeros(2, 4), torch.tensor([0, 3])).item()  # log 4
        1.3862943649291992
    """

    def per_sample(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the losses (N,); see :func:`mmlt.functional.softmax_pair_loss`."""
        return softmax_pair_loss(similarity, target, negative_mask=negative_mask, reduction='none')
