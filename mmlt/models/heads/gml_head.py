"""GML: classes as mixtures of a teacher's features, and the teacher's probabilities."""

from mmpretrain.registry import MODELS

from mmlt.models.build import as_spec
from mmlt.models.heads.parts import merge_parts
from mmlt.models.heads.tripartite_head import TripartiteHead


@MODELS.register_module()
class GMLHead(TripartiteHead):
    r"""Gaussian mixture likelihood: supervised, contrastive and distilled.

    .. math::
        L = \gamma L_{sup}(s \cos, y) + \beta (L_{con} + L_T)(\log S, y)
            + \alpha L_{KD}(s \cos, t)

    L_sup is balanced softmax of the plain view (slot ``joint``), L_con and L_T, the loss of its
    temperature, are the :class:`ClassQueue` (slot ``contrast``), L_KD the
    :class:`DistillationSlot` (slot ``distillation``). The teacher runs beside the model::

        model = dict(type='CompanionClassifier', views=(0, 1), companions=dict(teacher=dict(
                         type='FrozenTeacher', model=..., checkpoint=..., views=(0, 2))),
                     head=dict(type='GMLHead', ...), ...)

    with three views of the pipeline: classified, compared, remembered. The learned temperature has
    no weight decay: ``optim_wrapper.paramwise_cfg=dict(custom_keys=dict(log_temperature=dict(
    decay_mult=0.0)))``, as in the configs.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Width D of the features.
        class_counts: As in :class:`TripartiteHead`, but needed.
        joint_weight (float): gamma; short for ``joint.loss_weight``. Defaults to 1.0.
        contrast_weight (float): beta; short for ``contrast.loss_weight``. Defaults to 1.0.
        distillation_weight (float): alpha; short for ``distillation.loss_weight``; 0 leaves the
            slot out, as on ImageNet-LT. Defaults to 1.0 (CIFAR-LT).
        queue_size (int): Short for ``neck.size``. Defaults to 4096 (CIFAR-LT).
        temperature (float): Short for ``neck.temperature``. Defaults to 0.1 (CIFAR-LT).
        slots (dict, optional): Merged into the distillation slot by name; others are added.
        **parts: Anything else that :class:`TripartiteHead` takes. ``classifier`` is the
            ``CosineLinear`` of scale 30 by default, ``joint`` and ``contrast`` the
            ``BalancedSoftmaxLoss``, ``neck`` the ``ClassQueue``. ``margin=dict(type='DBMMargin')``
            is DBM-GML; its margin is in L_sup alone.

    Raises:
        ValueError: A short form that could have no effect; fewer slots than classes.

    Source:
        GML (Suh and Seo, ICML 2023), as released; DBM-GML from one sentence of DBM (AAAI 2025).

    Example:
        >>> head = GMLHead(10, 64, class_counts='cifar10-lt-if100')
        >>> sorted(head.slots), head.slots['contrast'].sizes.sum()
        (['contrast', 'distillation', 'joint'], tensor(4096))
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        class_counts,
        joint_weight: float | None = None,
        contrast_weight: float | None = None,
        distillation_weight: float | None = None,
        queue_size: int | None = None,
        temperature: float | None = None,
        joint_views: int = 1,
        slots: dict | None = None,
        **parts,
    ):
        defaults = dict(
            classifier=dict(type='CosineLinear', scale=30.0),
            joint=dict(type='BalancedSoftmaxLoss'),
            contrast=dict(type='BalancedSoftmaxLoss'),
            neck=dict(type='ClassQueue'),
        )
        parts = merge_parts(
            defaults,
            parts,
            joint_weight=(joint_weight, 'joint.loss_weight'),
            contrast_weight=(contrast_weight, 'contrast.loss_weight'),
            queue_size=(queue_size, 'neck.size'),
            temperature=(temperature, 'neck.temperature'),
        )
        slots = merge_parts(
            dict(distillation=dict(type='DistillationSlot')),
            {name: as_spec(f'slots.{name}', given) for name, given in (slots or {}).items()},
            distillation_weight=(distillation_weight, 'distillation.loss_weight'),
        )
        if distillation_weight == 0:
            slots['distillation'] = None
        super().__init__(
            num_classes,
            in_channels,
            class_counts,
            joint_views=joint_views,
            slots={name: slot for name, slot in slots.items() if slot is not None},
            **parts,
        )
