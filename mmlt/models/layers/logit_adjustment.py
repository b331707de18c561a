"""The class prior taken out of a trained model's logits, in the test alone."""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional import class_log_prior


@MODELS.register_module()
class LogitAdjustment(nn.Module):
    r"""Post-hoc logit adjustment: :math:`z_k - \tau (\log \pi_k - \log \pi'_k)`.

    :math:`\pi` are the class frequencies of the training set, :math:`\pi'` those of the tested one.
    The shift is computed here, once: the module exports as one subtraction.

    A model trained with balanced softmax has no training prior in its logits: only
    :math:`\tau \log \pi'_k` is added then. Taken out twice, the prior would favour rare classes.
    Of one trained with logit adjustment of another strength t, the part :math:`1 - t` of
    :math:`\log \pi_k` is left to take out.

    Args:
        class_counts: Of the training set, what :func:`mmlt.load_class_counts` takes;
            :class:`TripartiteHead` hands its own.
        tau (float): Strength, >= 0; 0 leaves the logits as they are. Defaults to 1.0.
        target_class_counts (optional): Of the set that is tested. Defaults to None: balanced.
        balanced (bool | float): The strength t with which the training has taken :math:`\pi` out
            already, True for 1; :class:`TripartiteHead` hands the tau of its joint criterion, if
            that is ``BalancedSoftmaxLoss``. Defaults to False: not at all.
        num_classes (int, optional): K; :class:`TripartiteHead` hands it.

    Shape:
        logits (N, K) -> (N, K).

    Raises:
        ValueError: ``tau`` or ``balanced`` is negative, NaN or infinite; counts of another number
            of classes; ``balanced`` without ``target_class_counts``: there is nothing to adjust.

    Source:
        Menon et al. 2021, eq. 9; with a target prior: Hong et al. 2021 (LADE).

    Example:
        >>> LogitAdjustment([90, 10])(torch.zeros(1, 2)).softmax(dim=1)
        tensor([[0.1000, 0.9000]])
    """

    wants = ('class_counts', 'balanced', 'num_classes')

    def __init__(
        self,
        class_counts,
        tau: float = 1.0,
        target_class_counts=None,
        balanced: bool | float = False,
        num_classes: int | None = None,
    ):
        super().__init__()
        for name, value in dict(tau=tau, balanced=balanced).items():
            if not 0 <= value < math.inf:
                raise ValueError(f'{name} of LogitAdjustment must be >= 0, got {value}')
        if class_counts is None:
            raise ValueError('LogitAdjustment needs class_counts: give them to the head')
        shift = class_log_prior(load_class_counts(class_counts))
        if num_classes not in (None, len(shift)):
            raise ValueError(
                f'class_counts of LogitAdjustment has {len(shift)} classes, num_classes is '
                f'{num_classes}'
            )
        if balanced == 1 and target_class_counts is None:
            raise ValueError(
                'LogitAdjustment would take the training prior out a second time: the joint '
                'criterion, BalancedSoftmaxLoss, has done it. Remove the adjustment; for a '
                'test set that is not balanced give it target_class_counts; if another '
                'criterion trained the classifier, such as in a second stage, balanced=False'
            )
        shift = (1 - balanced) * shift
        if target_class_counts is not None:
            target = class_log_prior(load_class_counts(target_class_counts))
            if len(target) != len(shift):
                raise ValueError(
                    f'target_class_counts has {len(target)} classes, class_counts has {len(shift)}'
                )
            shift = shift - target
        self.tau = float(tau)
        self.balanced = float(balanced)
        # What the test set is like is no business of a checkpoint.
        self.register_buffer('shift', tau * shift.float(), persistent=False)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """Subtract the shift."""
        return logits - self.shift

    def extra_repr(self) -> str:
        """Describe the module in one line."""
        return f'tau={self.tau}' + (f', balanced={self.balanced:g}' if self.balanced else '')
