"""Supervised contrast: BCL's baseline, without its two additions."""

from mmpretrain.registry import MODELS

from mmlt.models.losses.balanced_contrastive_loss import BalancedContrastiveLoss


@MODELS.register_module()
class SupervisedContrastiveLoss(BalancedContrastiveLoss):
    r"""Mean over positives p of :math:`-\log(e^{s_{ip}} / \sum_{k \ne i} e^{s_{ik}})`.

    :class:`BalancedContrastiveLoss` without averaging over classes and without prototypes; any
    prototypes given are left out.

    Args:
        temperature (float): tau, > 0. Defaults to 0.1.
        reduction (str): 'mean' | 'sum' | 'none', over all anchors. Defaults to 'mean'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Shape:
        features (N, V, d), V views of each sample, rows of unit length; target (N,) labels
        -> () or (N, V).

    Source:
        BCL, eqs. 1 and 2; Khosla et al. (2020), :math:`L_{out}`.

    Example:
        >>> views = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[-1.0, 0.0], [-1.0, 0.0]]])
        >>> loss = SupervisedContrastiveLoss(temperature=1.0)(views, torch.tensor([0, 1]))
        >>> round(loss.item(), 4)  # log(1 + 2 exp(-2))
        0.2395
    """

    def __init__(self, temperature: float = 0.1, reduction: str = 'mean', loss_weight: float = 1.0):
        super().__init__(
            temperature,
            class_averaging=False,
            class_complement=False,
            reduction=reduction,
            loss_weight=loss_weight,
        )
