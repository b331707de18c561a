"""Cross-entropy over the classes: the criterion of CE3S."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional import softmax_pair_loss


@MODELS.register_module()
class SoftmaxPairLoss(nn.Module):
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

    def __init__(self, reduction: str = 'mean', loss_weight: float = 1.0):
        super().__init__()
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None = None,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the loss; see :func:`mmlt.functional.softmax_pair_loss`."""
        return self.loss_weight * softmax_pair_loss(
            similarity,
            target,
            negative_mask=negative_mask,
            weight=weight,
            reduction=self.reduction,
        )
