"""BCL: logit-compensated classification of one view, balanced contrast of two others."""

from mmpretrain.registry import MODELS

from mmlt.models.heads.parts import merge_parts
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
        joint_weight (float): lambda of eq. 11; short for ``joint.loss_weight``. Defaults to 2.0
            (CIFAR-LT); ImageNet-LT and iNaturalist have 1.0.
        contrast_weight (float): mu of eq. 11; short for ``contrast.loss_weight``. Defaults to 0.6
            (CIFAR-LT); the others have 0.35.
        temperature (float): tau of eq. 1; short for ``contrast.temperature``. Defaults to 0.1
            (CIFAR-LT); the others have 0.07.
        class_averaging (bool): Each class counts once in the denominator, not each image. Defaults
            to True.
        class_complement (bool): Prototypes, so that every class is in every batch; short for the
            criterion's ``class_complement`` and the neck's ``prototypes``. Defaults to True.
        form (str): 'L1', 'L2' or 'L3' (eqs. 6 to 8). Defaults to 'L1'.
        **parts: Anything else that :class:`TripartiteHead` takes. ``classifier`` is linear by
            default (ImageNet-LT and iNaturalist: ``CosineLinear``), ``joint`` the
            ``BalancedSoftmaxLoss``. The config of a part is merged into the default one; a ``type``
            of another name replaces it whole. ``margin=dict(type='DBMMargin')`` on a cosine
            classifier is DBM-BCL.

    Raises:
        ValueError: A short form that could have no effect.

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
        joint_weight: float | None = None,
        contrast_weight: float | None = None,
        temperature: float | None = None,
        class_averaging: bool | None = None,
        class_complement: bool | None = None,
        form: str | None = None,
        joint_views: int = 1,
        **parts,
    ):
        defaults = dict(
            classifier=dict(type='torch.nn.Linear'),
            joint=dict(type='BalancedSoftmaxLoss', loss_weight=2.0),
            contrast=dict(type='BalancedContrastiveLoss', temperature=0.1, loss_weight=0.6),
            neck=dict(type='PrototypeNeck'),
        )
        parts = merge_parts(
            defaults,
            parts,
            joint_weight=(joint_weight, 'joint.loss_weight'),
            contrast_weight=(contrast_weight, 'contrast.loss_weight'),
            temperature=(temperature, 'contrast.temperature'),
            class_averaging=(class_averaging, 'contrast.class_averaging'),
            class_complement=(class_complement, 'contrast.class_complement', 'neck.prototypes'),
            form=(form, 'contrast.form'),
        )
        super().__init__(num_classes, in_channels, class_counts, joint_views=joint_views, **parts)
