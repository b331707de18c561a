"""BCE3S: the three slots with sigmoid criteria and the paper's settings."""

from mmpretrain.registry import MODELS

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
        negative_ratio (float): r of eq. 3. Defaults to 0.4.
        contrast_weight (float): lambda_ss of eq. 6. Defaults to 0.1.
        uniform_weight (float): lambda_cc of eq. 6. Defaults to 1.0 (1.25 was best in the
            paper's study without the contrast slot).
        temperature (float): tau of eq. 4. Defaults to 1.0.
        contrast_reduction (str): Defaults to 'sum': the released code adds the mixup and cutmix
            views' contrast losses. With one view there is no difference.
        **kwargs: Anything else that :class:`TripartiteHead` takes; a slot given here replaces the
            default one, its weight included.

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
        negative_ratio: float = 0.4,
        contrast_weight: float = 0.1,
        uniform_weight: float = 1.0,
        temperature: float = 1.0,
        contrast_reduction: str = 'sum',
        **kwargs,
    ):
        slots = dict(
            joint=dict(type='SigmoidPairLoss'),
            contrast=dict(type='SigmoidPairLoss', loss_weight=contrast_weight),
            uniform=dict(type='SigmoidUniformLoss', loss_weight=uniform_weight),
        )
        neck = dict(temperature=temperature, reduction=contrast_reduction)
        kwargs['neck'] = neck | (kwargs.get('neck') or {})
        super().__init__(
            num_classes,
            in_channels,
            class_counts=class_counts,
            negative_ratio=negative_ratio,
            **(slots | kwargs),
        )
