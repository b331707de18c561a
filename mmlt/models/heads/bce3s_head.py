"""BCE3S: the three slots with sigmoid criteria and the paper's settings."""

from mmpretrain.registry import MODELS

from mmlt.models.heads.parts import merge_parts
from mmlt.models.heads.tripartite_head import TripartiteHead


@MODELS.register_module()
class BCE3SHead(TripartiteHead):
    r"""Binary cross-entropy based tripartite synergistic learning.

    .. math::
        L = \frac{1}{B} \sum_i L_{joint}(x_i) + \frac{\lambda_{ss}}{B} \sum_i L_{contrast}(x_i)
            + \frac{\lambda_{cc}}{K} \sum_k L_{uniform}(w_k)

    Where the three terms live: eqs. 3 and 4 in ``functional/pairs.py`` (``sigmoid_pair_loss``, on
    logits of unit class vectors and on similarities to the memory bank), eq. 5 in
    ``functional/uniformity.py``, the bank in ``necks/memory_bank_neck.py``.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Width D of the features.
        class_counts (optional): As in :class:`TripartiteHead`.
        negative_ratio (float): r of eq. 3; short for ``joint.negative_ratio``. Defaults to 0.4.
        contrast_weight (float): lambda_ss of eq. 6; short for ``contrast.loss_weight``. Defaults to
            0.1.
        uniform_weight (float): lambda_cc of eq. 6; short for ``uniform.loss_weight``. Defaults to
            1.0 (1.25 was best in the paper's study without the contrast slot).
        temperature (float): tau of eq. 4; short for ``neck.temperature``. Defaults to 1.0.
        contrast_reduction (str): Short for ``neck.reduction``. Defaults to 'sum': the released code
            adds the mixup and cutmix views' contrast losses. With one view there is no difference.
        **parts: Anything else that :class:`TripartiteHead` takes. The config of a part is merged
            into the default one; a ``type`` of another name replaces it whole.

    Raises:
        ValueError: A short form that could have no effect.

    Source:
        BCE3S (AAAI 2026), eq. 6; values of the released code for CIFAR-100-LT.

    Example:
        >>> head = BCE3SHead(num_classes=100, in_channels=512, class_counts='cifar100-lt-if100')
        >>> head((torch.rand(2, 512),)).shape
        torch.Size([2, 100])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        class_counts=None,
        negative_ratio: float | None = None,
        contrast_weight: float | None = None,
        uniform_weight: float | None = None,
        temperature: float | None = None,
        contrast_reduction: str | None = None,
        **parts,
    ):
        defaults = dict(
            joint=dict(type='SigmoidPairLoss', negative_ratio=0.4),
            contrast=dict(type='SigmoidPairLoss', loss_weight=0.1),
            uniform=dict(type='SigmoidUniformLoss', loss_weight=1.0),
            neck=dict(type='MemoryBankNeck', temperature=1.0, reduction='sum'),
        )
        parts = merge_parts(
            defaults,
            parts,
            negative_ratio=(negative_ratio, 'joint.negative_ratio'),
            contrast_weight=(contrast_weight, 'contrast.loss_weight'),
            uniform_weight=(uniform_weight, 'uniform.loss_weight'),
            temperature=(temperature, 'neck.temperature'),
            contrast_reduction=(contrast_reduction, 'neck.reduction'),
        )
        super().__init__(num_classes, in_channels, class_counts, **parts)
