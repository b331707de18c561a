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

    Args:
        class_counts: Of the training set, what :func:`mmlt.load_class_counts` takes;
            :class:`TripartiteHead` hands its own.
        tau (float): Strength, >= 0; 0 leaves the logits as they are. Defaults to 1.0.
        target_class_counts (optional): Of the set that is tested. Defaults to None: balanced.

    Shape:
        logits (N, K) -> (N, K).

    Raises:
        ValueError: ``tau`` is negative, NaN or infinite; the two counts differ in K.

    Source:
        Menon et al. 2021, eq. 9; with a target prior: Hong et al. 2021 (LADE).

    Example:
        >>> LogitAdjustment([90, 10])(torch.zeros(1, 2)).softmax(dim=1)
        tensor([[0.1000, 0.9000]])
    """

    wants = ('class_counts',)

    def __init__(self, class_counts, tau: float = 1.0, target_class_counts=None):
        super().__init__()
        if not 0 <= tau < math.inf:
            raise ValueError(f'tau of LogitAdjustment must be >= 0, got {tau}')
        if class_counts is None:
            raise ValueError('LogitAdjustment needs class_counts: give them to the head')
        shift = class_log_prior(load_class_counts(class_counts))
        if target_class_counts is not None:
            target = class_log_prior(load_class_counts(target_class_counts))
            if len(target) != len(shift):
                raise ValueError(
                    f'target_class_counts has {len(target)} classes, class_counts has {len(shift)}'
                )
            shift = shift - target
        self.tau = float(tau)
        # What the test set is like is no business of a checkpoint.
        self.register_buffer('shift', tau * shift.float(), persistent=False)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """Subtract the shift."""
        return logits - self.shift

    def extra_repr(self) -> str:
        """Describe the module in one line."""
        return f'tau={self.tau}'
