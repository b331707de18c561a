"""Class against class: the classifier's vectors, pushed apart."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.models.build import build_part
from mmlt.models.slots.batch import Batch, rows_of


@MODELS.register_module()
class UniformSlot(nn.Module):
    """Criterion of the rows of the classifier; no image has a part in it.

    Args:
        criterion (dict | Module): Criterion of class vectors (K, D).

    Shape:
        batch -> ().

    Raises:
        TypeError: The classifier has no class vectors (K, D).

    Source:
        BCE3S, eqs. 5 and 24.

    Example:
        >>> slot = UniformSlot(dict(type='SigmoidUniformLoss'))
        >>> slot(Batch([torch.zeros(2, 4)], [torch.tensor([0, 1])], nn.Linear(4, 3))).shape
        torch.Size([])
    """

    def __init__(self, criterion):
        super().__init__()
        self.criterion = build_part(criterion)

    def check_classifier(self, classifier: nn.Module) -> None:
        """Refuse a classifier without class vectors, before the first batch."""
        rows_of(classifier, 'uniform')

    def forward(self, batch: Batch) -> torch.Tensor:
        """Compute the criterion of the class vectors."""
        return self.criterion(batch.class_vectors('uniform'))
