"""NCL: balanced experts that learn from each other, on all classes and on the hard ones."""

from mmpretrain.registry import MODELS

from mmlt.models.build import as_spec
from mmlt.models.heads.experts_head import ExpertsHead
from mmlt.models.heads.parts import merge_parts

_OWN = ('expert', 'keep_experts', 'keep_features', 'topk', 'cal_acc', 'init_cfg')


@MODELS.register_module()
class NCLHead(ExpertsHead):
    r"""Nested collaborative learning.

    .. math::
        L = r_{ce} \sum_m CE(b^m, y) + D(b) + r_{hcm} \sum_m CE(h^m, y) + D(h)
            + r_{con} \sum_m L^m_{con}, \quad b^m_k = z^m_k + \log n_k

    D is :class:`MutualDistillation` (slot ``distillation``), the next two terms are
    :class:`HardCategoryMining` (slot ``mining``), the last one is a :class:`MomentumQueue` in each
    expert (slot ``contrast``). It needs a momentum encoder beside the model::

        model = dict(type='CompanionClassifier',
                     companions=dict(momentum=dict(type='MomentumEncoder')),
                     head=dict(type='NCLHead', ...), ...)

    and two views of the pipeline. NCL on ImageNet-LT and iNaturalist has no contrast:
    ``contrast=None``, in the stock ``ImageClassifier``.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Width D of each expert's features.
        class_counts: As in :class:`TripartiteHead`, but needed.
        num_experts (int): M. Defaults to 3.
        joint_weight (float): r_ce; short for ``joint.loss_weight``. Defaults to 1.0.
        mining_weight (float): r_hcm; short for ``mining.loss_weight``. Defaults to 1.0.
        contrast_weight (float): r_con; short for ``contrast.loss_weight``. Defaults to 1.0.
        distillation_weight (float): lambda of both D; short for ``distillation.loss_weight`` and
            ``mining.distillation_weight``; 0 leaves them out. Defaults to 0.6.
        num_hard (int, optional): Short for ``mining.num_hard``. Defaults to 30 percent of the
            classes (Places-LT: 122).
        hard_mask (str): 'zero' (as released) or 'exclude' (as the paper reads). Defaults to 'zero'.
        slots (dict, optional): Merged into the two slots by name; None as config takes one out.
        **parts: Parts of each expert's :class:`TripartiteHead`, and ``expert``, ``keep_experts``,
            ``keep_features``, ``topk``, ``cal_acc`` and ``init_cfg`` of :class:`ExpertsHead`.
            ``classifier`` is linear by default, ``joint`` the ``BalancedSoftmaxLoss``,
            ``contrast`` the ``SoftmaxPairLoss``, ``neck`` the ``MomentumQueue``.
            ``classifier=dict(type='CosineLinear', scale=32.0), margin=dict(type='DBMMargin')`` is
            DBM-NCL; its released code has scale 16.

    Raises:
        ValueError: One expert and distillation; an argument that could have no effect.

    Source:
        NCL (Li et al., CVPR 2022) and DBM (AAAI 2025), DBM-NCL, as released.

    Example:
        >>> head = NCLHead(10, 64, class_counts='cifar10-lt-if100')
        >>> head.slots['mining'].num_hard, len(head.experts[0].slots['contrast'].queue)
        (3, 1024)
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        class_counts,
        num_experts: int = 3,
        joint_weight: float | None = None,
        mining_weight: float | None = None,
        contrast_weight: float | None = None,
        distillation_weight: float | None = None,
        num_hard: int | None = None,
        hard_mask: str | None = None,
        slots: dict | None = None,
        **parts,
    ):
        if 'head' in parts:
            raise TypeError('head is no argument of NCLHead: give it the parts, such as classifier')
        own = {name: parts.pop(name) for name in _OWN if name in parts}
        defaults = dict(
            classifier=dict(type='torch.nn.Linear'),
            joint=dict(type='BalancedSoftmaxLoss'),
            contrast=dict(type='SoftmaxPairLoss'),
            neck=dict(type='MomentumQueue'),
        )
        parts = merge_parts(
            defaults,
            parts,
            joint_weight=(joint_weight, 'joint.loss_weight'),
            contrast_weight=(contrast_weight, 'contrast.loss_weight'),
        )
        ties = merge_parts(
            dict(
                distillation=dict(type='MutualDistillation'), mining=dict(type='HardCategoryMining')
            ),
            {name: as_spec(f'slots.{name}', given) for name, given in (slots or {}).items()},
            distillation_weight=(
                distillation_weight, 'distillation.loss_weight', 'mining.distillation_weight',
            ),
            mining_weight=(mining_weight, 'mining.loss_weight'),
            num_hard=(num_hard, 'mining.num_hard'),
            hard_mask=(hard_mask, 'mining.hard_mask'),
        )  # fmt: skip
        if distillation_weight == 0:
            ties['distillation'] = None
        super().__init__(
            num_classes,
            in_channels,
            class_counts,
            head=dict(type='TripartiteHead', **parts),
            num_experts=num_experts,
            slots={name: tie for name, tie in ties.items() if tie is not None},
            **own,
        )
