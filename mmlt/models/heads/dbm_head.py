"""DBM: a cosine classifier whose label logit carries a margin, on any criterion."""

from mmpretrain.registry import MODELS

from mmlt.models.heads.parts import merge_parts
from mmlt.models.heads.tripartite_head import TripartiteHead


@MODELS.register_module()
class DBMHead(TripartiteHead):
    r"""Difficulty-aware balancing margin.

    .. math::
        s_y = s \cos(\theta_y + m_C + m_I), \quad m_C = K (n_{min} / n_y)^\tau, \quad
        m_I = m_C (1 - \cos \theta_y) / 2 \text{ if another class is nearer, else } 0

    The margin is ``dbm_logits`` in ``functional/margins.py``. Which loss follows is ``joint``:
    'softmax' (DBM-CE), ``dict(type='BalancedSoftmaxLoss')`` (DBM-BS),
    ``dict(type='ClassBalancedLoss', criterion=dict(type='SoftmaxPairLoss'))`` (DBM-CB);
    ``DeferredReweightingHook`` turns DBM-CE into DBM-DRW.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Width D of the features.
        class_counts: As in :class:`TripartiteHead`, but needed.
        joint (str | dict): Criterion. Defaults to 'softmax'.
        scale (float): s; short for ``classifier.scale``. Defaults to 32.0 (CIFAR); ImageNet-LT and
            iNaturalist have 30.
        max_margin (float): K of eq. 6, radians; short for ``margin.max_margin``. Defaults to 0.1.
        tau (float): Exponent of eq. 6; short for ``margin.tau``. Defaults to 1.0.
        reference (str): 'min' (the paper) or 'last' (the released code), see
            :func:`mmlt.functional.dbm_class_margin`; short for ``margin.reference``. Defaults to
            'min'.
        instance_margin (str): 'hard', 'all' or 'none'; short for ``margin.instance_margin``.
            Defaults to 'hard'.
        **parts: Anything else that :class:`TripartiteHead` takes, BCE3S's contrast and uniform
            slots included. ``classifier`` and ``margin`` are merged into the defaults; a ``type``
            of another name replaces them whole.

    Raises:
        ValueError: A short form that could have no effect.

    Source:
        DBM (AAAI 2025), eqs. 6 to 11.

    Example:
        >>> head = DBMHead(10, 64, class_counts='cifar10-lt-if100')
        >>> head((torch.rand(2, 64),)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        class_counts,
        joint: str | dict = 'softmax',
        scale: float | None = None,
        max_margin: float | None = None,
        tau: float | None = None,
        reference: str | None = None,
        instance_margin: str | None = None,
        **parts,
    ):
        parts = merge_parts(
            dict(classifier=dict(type='CosineLinear', scale=32.0), margin=dict(type='DBMMargin')),
            parts,
            scale=(scale, 'classifier.scale'),
            max_margin=(max_margin, 'margin.max_margin'),
            tau=(tau, 'margin.tau'),
            reference=(reference, 'margin.reference'),
            instance_margin=(instance_margin, 'margin.instance_margin'),
        )
        super().__init__(num_classes, in_channels, class_counts, joint=joint, **parts)
