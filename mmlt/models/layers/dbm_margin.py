"""DBM's margin: larger for rare classes, and larger still for their hard samples."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional import dbm_class_margin, dbm_logits
from mmlt.functional.margins import check_instance_margin


@MODELS.register_module()
class DBMMargin(nn.Module):
    r"""Margin on the target's angle: :math:`z_y = s \cos(\theta_y + m_y + h \, m_I)`.

    .. math:: m_y = K (n_y / n_{ref})^{-\tau}, \quad m_I = \lambda \, m_y (1 - \cos\theta_y) / 2

    Args:
        class_counts: What :func:`mmlt.load_class_counts` takes, in any order.
        max_margin (float): K in radians, in [0, pi]. Defaults to 0.1 (the paper tunes 0.1 to 0.3).
        tau (float): How much the margins of the classes differ, >= 0. Defaults to 1.0.
        reference (str): 'min': n_ref is the smallest class (the paper); 'last': the class with the
            highest index (the released code). Defaults to 'min'.
        instance_margin (str): Samples with h = 1: 'hard' (some class is nearer than their own),
            'all' or 'none'. Defaults to 'hard'.
        instance_weight (float): lambda, >= 0. Defaults to 1.0.

    Shape:
        cosine (N, K), target (N,) labels -> logits (N, K).

    Raises:
        ValueError: An argument outside its range.

    Source:
        DBM, eqs. 6-9; see :func:`mmlt.functional.dbm_class_margin` and
        :func:`mmlt.functional.dbm_logits` for the deviations from the released code.

    Example:
        >>> margin = DBMMargin([90, 10])
        >>> margin(torch.zeros(1, 2), torch.tensor([1]), scale=1.0)  # cos(pi / 2 + 0.1)
        tensor([[ 0.0000, -0.0998]])
    """

    wants = ('class_counts',)

    def __init__(
        self,
        class_counts,
        max_margin: float = 0.1,
        tau: float = 1.0,
        reference: str = 'min',
        instance_margin: str = 'hard',
        instance_weight: float = 1.0,
    ):
        super().__init__()
        check_instance_margin(instance_margin, instance_weight)
        self.instance_margin = instance_margin
        self.instance_weight = instance_weight
        margin = dbm_class_margin(load_class_counts(class_counts), max_margin, tau, reference)
        # Derived from the class counts, so no business of a checkpoint.
        self.register_buffer('class_margin', margin, persistent=False)

    def forward(self, cosine: torch.Tensor, target: torch.Tensor, scale: float) -> torch.Tensor:
        """Compute the logits; see :func:`mmlt.functional.dbm_logits`."""
        return dbm_logits(
            cosine,
            target,
            self.class_margin,
            scale=scale,
            instance_margin=self.instance_margin,
            instance_weight=self.instance_weight,
        )
