"""BCL: logit-compensated classification of one view, balanced contrast of two others."""

from mmpretrain.registry import MODELS

from mmlt.models.heads.tripartite_head import TripartiteHead


@MODELS.register_module()
class BCLHead(TripartiteHead):
    r"""Balanced contrastive learning.

    .. math::
        L = \lambda L_{LC}(W x^{(1)} + b, y) + \mu L_{BCL}(z^{(2)}, z^{(3)}, z_c, y)

    The first view is classified, the others are contrasted with each other and with one prototype
    a class, which an MLP makes of the class's row in the classifier. The views come from the
    pipeline: ``MultiView`` and ``MultiViewDataPreprocessor(views='pipeline')``.

    Where the terms live: eq. 9 is ``balanced_contrastive_loss`` in ``functional/contrastive.py``,
    the MLPs and the gathering over processes are in ``necks/prototype_neck.py``, eq. 10 is
    ``losses/balanced_softmax_loss.py``.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Width D of the features.
        class_counts: As in :class:`TripartiteHead`, but needed.
        joint_weight (float): lambda of eq. 11. Defaults to 2.0 (CIFAR-LT); ImageNet-LT and
            iNaturalist have 1.0.
        contrast_weight (float): mu of eq. 11. Defaults to 0.6 (CIFAR-LT); the others have 0.35.
        temperature (float): tau of eq. 1. Defaults to 0.1 (CIFAR-LT); the others have 0.07.
        class_averaging (bool): Each class counts once in the denominator, not each image.
        class_complement (bool): Prototypes, so that every class is in every batch.
        form (str): 'L1', 'L2' or 'L3' (eqs. 6 to 8). Defaults to 'L1'.
        **kwargs: Anything else that :class:`TripartiteHead` takes. ``classifier`` is linear by
            default (ImageNet-LT and iNaturalist: ``CosineLinear``), ``joint`` the
            ``BalancedSoftmaxLoss``; a slot given here replaces the default one, its weight
            included. ``margin=dict(type='DBMMargin')`` on a cosine classifier is DBM-BCL.

    Source:
        BCL (CVPR 2022), eqs. 9 to 11, as released.

    Example:
        >>> head = BCLHead(10, 64, class_counts='cifar10-lt-if100')
        >>> head((torch.rand(2, 64),)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        class_counts,
        joint_weight: float = 2.0,
        contrast_weight: float = 0.6,
        temperature: float = 0.1,
        class_averaging: bool = True,
        class_complement: bool = True,
        form: str = 'L1',
        **kwargs,
    ):
        contrast = dict(
            type='BalancedContrastiveLoss',
            temperature=temperature,
            form=form,
            class_averaging=class_averaging,
            class_complement=class_complement,
            loss_weight=contrast_weight,
        )
        defaults = dict(
            classifier=dict(type='torch.nn.Linear'),
            joint=dict(type='BalancedSoftmaxLoss', loss_weight=joint_weight),
            contrast=contrast,
            joint_views=1,
        )
        neck = dict(type='PrototypeNeck', prototypes=class_complement)
        kwargs['neck'] = neck | (kwargs.get('neck') or {})
        super().__init__(num_classes, in_channels, class_counts=class_counts, **(defaults | kwargs))
