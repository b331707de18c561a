"""Binary cross-entropy on every (sample, class) pair: the criterion of BCE3S."""

import torch
from mmpretrain.registry import MODELS

from mmlt.functional import sample_negatives, sigmoid_pair_loss
from mmlt.models.losses.pair_criterion import PairCriterion


@MODELS.register_module()
class SigmoidPairLoss(PairCriterion):
    r"""Sigmoid criterion: :math:`\log(1+e^{-s_y}) + \sum_{k \ne y} \log(1+e^{s_k})`.

    Fits the joint slot (s: logits, eq. 3) and the contrast slot (s: similarity to a memory bank,
    eq. 4) of :class:`TripartiteHead`.

    Args:
        soft_negatives (bool): With soft labels, give a class with target t the negative part
            (1 - t) log(1 + e^s), as plain binary cross-entropy does. The released code, and so
            the default, gives a class with 0 < t < 1 no negative part.
        negative_ratio (float): Part r in (0, 1] of the negative (sample, class) pairs that are
            kept, drawn anew in every training step. For labels only: with soft labels, and in
            evaluation mode, all are kept. Defaults to 1.0.
        negative_sampling (str): 'sample' draws for each sample and class (eq. 3); 'batch' draws one
            set of classes a batch, the batch's own always in it (the released code).
        reduction (str): 'mean' | 'sum' | 'none', over samples. Defaults to 'mean'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        similarity (N, K), target (N,) labels or (N, K) soft labels -> () or (N,).

    Raises:
        ValueError: An argument outside its range.

    Source:
        BCE3S, eqs. 3 and 4; see :func:`mmlt.functional.sample_negatives`.

    Example:
        >>> SigmoidPairLoss()(torch.zeros(2, 4), torch.tensor([0, 3])).item()  # 4 log 2
        2.7725887298583984
    """

    def __init__(
        self,
        soft_negatives: bool = False,
        negative_ratio: float = 1.0,
        negative_sampling: str = 'sample',
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ):
        super().__init__(reduction, loss_weight)
        if not 0 < negative_ratio <= 1:
            raise ValueError(f'negative_ratio must be in (0, 1], got {negative_ratio}')
        if negative_sampling not in ('sample', 'batch'):
            raise ValueError(
                f"negative_sampling must be 'sample' or 'batch', got {negative_sampling!r}"
            )
        self.soft_negatives = soft_negatives
        self.negative_ratio = negative_ratio
        self.negative_sampling = negative_sampling

    def per_sample(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the losses (N,); see :func:`mmlt.functional.sigmoid_pair_loss`."""
        if self.negative_ratio < 1 and self.training and target.dim() == 1:
            drawn = sample_negatives(
                target, similarity.shape[-1], self.negative_ratio, per=self.negative_sampling
            )
            negative_mask = drawn if negative_mask is None else drawn & negative_mask
        return sigmoid_pair_loss(
            similarity,
            target,
            negative_mask=negative_mask,
            soft_negatives=self.soft_negatives,
            reduction='none',
        )
