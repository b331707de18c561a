"""Contrast of the features of a batch with one another and with the class prototypes."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional import balanced_contrastive_loss
from mmlt.functional.checks import check_positive
from mmlt.functional.contrastive import check_form


@MODELS.register_module()
class BalancedContrastiveLoss(nn.Module):
    r"""Supervised contrast in which every class weighs the same.

    .. math::
        L_i = \log \sum_j \frac{1}{n_{ij}} \sum_{k \in A_{ij}} e^{s_{ik}}
            - \frac{1}{n_{iy}} \sum_{p \in A_{iy}} s_{ip}

    :math:`A_{ij}` are the items of class j that anchor i sees, :math:`n_{ij}` of them: the other
    features and the prototype of j; :math:`s = \langle z, z' \rangle / \tau`.

    Args:
        temperature (float): tau, > 0. Defaults to 0.1.
        form (str): 'L1' (eqs. 6 and 9) averages the exponentials of a class, 'L2' (eq. 7) the
            similarities, 'L3' (eq. 8) compares with the prototypes alone. Defaults to 'L1'.
        class_averaging (bool): False sets the first 1 / n_ij to 1; 'L1' only. Defaults to True.
        class_complement (bool): Whether the prototypes are items, so that every class is in every
            batch; False leaves out any that are given. Defaults to True.
        reduction (str): 'mean' | 'sum' | 'none', over all anchors. Defaults to 'mean'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        features (N, V, d), V views of each sample; target (N,) labels; prototypes (K, d); all rows
        of unit length -> () or (N, V).

    Raises:
        ValueError: A temperature that is not positive, a form without what it needs,
            ``class_complement`` without prototypes; see also
            :func:`mmlt.functional.balanced_contrastive_loss`.

    Source:
        BCL, eqs. 6 to 9, eq. 9 as its released code computes it: the anchor is no item of its own
        class. The paper adds 0.6 of it to 2.0 of the cross-entropy on CIFAR, and 0.35 to 1.0 on
        ImageNet-LT and iNaturalist.

    Example:
        >>> simplex = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> criterion = BalancedContrastiveLoss(temperature=1.0)
        >>> loss = criterion(simplex[:, None], torch.tensor([0, 1]), simplex)
        >>> round(loss.item(), 4)  # log(1 + exp(-2)), the lower bound of eq. 5
        0.1269
    """

    def __init__(
        self,
        temperature: float = 0.1,
        form: str = 'L1',
        class_averaging: bool = True,
        class_complement: bool = True,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ):
        super().__init__()
        check_form(form, class_averaging, class_complement)
        check_positive('temperature', temperature)
        self.temperature = temperature
        self.form = form
        self.class_averaging = class_averaging
        self.class_complement = class_complement
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        features: torch.Tensor,
        target: torch.Tensor,
        prototypes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the loss; see :func:`mmlt.functional.balanced_contrastive_loss`."""
        if self.class_complement and prototypes is None:
            raise ValueError('class_complement=True needs prototypes (K, d), got None')
        return self.loss_weight * balanced_contrastive_loss(
            features,
            target,
            prototypes if self.class_complement else None,
            self.temperature,
            form=self.form,
            class_averaging=self.class_averaging,
            reduction=self.reduction,
        )
