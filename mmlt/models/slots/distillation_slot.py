"""Sample against class, as a teacher sees it."""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional.checks import check_positive
from mmlt.functional.distillation import knowledge_distillation
from mmlt.models.slots.batch import Batch


@MODELS.register_module()
class DistillationSlot(nn.Module):
    r"""The model learns a teacher's probabilities on the plain view.

    .. math:: L = \alpha \frac{T^2}{N} \sum_n KL(softmax(t_n / T) \| softmax(z_n / T))

    z are the classifier's logits, with its scale; no margin and no prior is in them. t are those
    with which the teacher predicts, after its ``adjustment`` if it has one.

    Args:
        temperature (float): T > 0. Defaults to 4.0.
        loss_weight (float): alpha. Defaults to 1.0.
        companion (str): Name of the teacher. Defaults to 'teacher'.

    Shape:
        batch -> ().

    Raises:
        ValueError: An argument outside its range; no such companion, or one without logits of the
            plain view and of these classes.

    Source:
        GML (Suh and Seo, ICML 2023), as released; see
        :func:`mmlt.functional.knowledge_distillation`.

    Example:
        >>> features, classifier = torch.rand(2, 4), nn.Linear(4, 3)
        >>> from mmlt.models.slots import CompanionOutput
        >>> teacher = CompanionOutput({0: (features,)}, {0: classifier(features)})
        >>> labels = [torch.tensor([0, 1])]
        >>> batch = Batch([features], labels, classifier, dict(teacher=teacher))
        >>> abs(round(DistillationSlot()(batch).item(), 6))
        0.0
    """

    def __init__(
        self, temperature: float = 4.0, loss_weight: float = 1.0, companion: str = 'teacher'
    ):
        super().__init__()
        check_positive('temperature', temperature)
        if not math.isfinite(loss_weight):
            raise ValueError(f'loss_weight must be finite, got {loss_weight}')
        self.temperature = temperature
        self.loss_weight = loss_weight
        self.companion = companion

    def forward(self, batch: Batch) -> torch.Tensor:
        """Compute the divergence of the plain view's logits from the teacher's."""
        output = batch.companion(self.companion, 'DistillationSlot')
        if 0 not in output.logits:
            raise ValueError(
                f'DistillationSlot needs the logits of view 0, but the companion '
                f'{self.companion!r} has those of {sorted(output.logits)}: a FrozenTeacher with 0 '
                'among its views'
            )
        teacher = output.logits[0]
        with torch.autocast(batch.views[0].device.type, enabled=False):
            logits = batch.logits()
            if teacher.shape != logits.shape:
                raise ValueError(
                    f'the companion {self.companion!r} has {teacher.shape[1]} classes, the head '
                    f'has {logits.shape[1]}'
                )
            return self.loss_weight * knowledge_distillation(logits, teacher, self.temperature)
