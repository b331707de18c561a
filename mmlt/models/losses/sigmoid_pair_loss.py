"""Binary cross-entropy on every (sample, class) pair: the criterion of BCE3S."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional import sigmoid_pair_loss


@MODELS.register_module()
class SigmoidPairLoss(nn.Module):
    r"""Sigmoid criterion: :math:`\log(1+e^{-s_y}) + \sum_{k \ne y} \log(1+e^{s_k})`.

    Fits the joint slot (s: logits, eq. 3) and the contrast slot (s: similarity to a memory bank,
    eq. 4) of :class:`TripartiteHead`.

    Args:
        soft_negatives (bool): With soft labels, give a class with target t the negative part
            (1 - t) log(1 + e^s), as plain binary cross-entropy does. The released code, and so
            the default, gives a class with 0 < t < 1 no negative part.
        reduction (str): 'mean' | 'sum' | 'none', over samples. Defaults to 'mean'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        similarity (N, K), target (N,) labels or (N, K) soft labels -> () or (N,).

    Source:
        BCE3S, eqs. 3 and 4.

    Example:
        >>> SigmoidPairLoss()(torch.zeros(2, 4), torch.tensor([0, 3])).item()  # 4 log 2
        2.7725887298583984
    """

    def __init__(self, soft_negatives: bool = False, reduction: str = 'mean', loss_weight=1.0):
        super().__init__()
        self.soft_negatives = soft_negatives
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None = None,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the loss; see :func:`mmlt.functional.sigmoid_pair_loss`."""
        return self.loss_weight * sigmoid_pair_loss(
            similarity,
            target,
            negative_mask=negative_mask,
            soft_negatives=self.soft_negatives,
            weight=weight,
            reduction=self.reduction,
        )
