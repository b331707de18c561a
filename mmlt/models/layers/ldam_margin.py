"""LDAM's margin: the rarer a class, the more its cosine has to win by."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional import ldam_class_margin, ldam_logits


@MODELS.register_module()
class LDAMMargin(nn.Module):
    r"""Margin on the target's cosine: :math:`z_y = s (\cos\theta_y - m_y)`.

    .. math:: m_y = m_{max} (n_y / n_{min})^{-1/4}

    Args:
        class_counts: What :func:`mmlt.load_class_counts` takes, in any order.
        max_margin (float): Margin of the smallest class, in units of the cosine, in [0, 2].
            Defaults to 0.5.

    Shape:
        cosine (N, K), target (N,) labels -> logits (N, K).

    Raises:
        ValueError: ``max_margin`` outside its range.

    Source:
        DBM, table 1; Cao et al. (2019, LDAM).

    Example:
        >>> margin = LDAMMargin([160, 10])
        >>> margin(torch.zeros(2, 2), torch.tensor([0, 1]), scale=1.0)
        tensor([[-0.2500,  0.0000],
                [ 0.0000, -0.5000]])
    """

    wants = ('class_counts',)

    def __init__(self, class_counts, max_margin: float = 0.5):
        super().__init__()
        margin = ldam_class_margin(load_class_counts(class_counts), max_margin)
        # Derived from the class counts, so no business of a checkpoint.
        self.register_buffer('class_margin', margin, persistent=False)

    def forward(self, cosine: torch.Tensor, target: torch.Tensor, scale: float) -> torch.Tensor:
        """Compute the logits; see :func:`mmlt.functional.ldam_logits`."""
        return ldam_logits(cosine, target, self.class_margin, scale=scale)
