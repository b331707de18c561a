"""All that a slot may see of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn as nn

from mmlt.models.gather import row_counts
from mmlt.models.targets import pure_labels, view_targets

WAY_OUT = (
    "set model.train_cfg=None (mmpretrain's Mixup and CutMix), or let "
    'MultiViewDataPreprocessor make the mixtures beside a plain view'
)


@dataclass(frozen=True)
class Batch:
    """Features and targets of V views of N images, the classifier, and what runs beside it.

    A slot is a module ``slot(batch) -> loss``.

    Args:
        views (Sequence[Tensor]): V x (N, D) features, the plain view first.
        targets (Sequence[Tensor]): V x (N,) labels or (N, K) soft labels.
        classifier (Module): The layer that the test uses.
        companions (Mapping): Outputs of what else saw the images, such as a teacher.

    Example:
        >>> batch = Batch([torch.rand(2, 4)], [torch.tensor([0, 1])], nn.Linear(4, 3))
        >>> batch.plain_labels('contrast')
        tensor([0, 1])
    """

    views: Sequence[torch.Tensor]
    targets: Sequence[torch.Tensor]
    classifier: nn.Module
    companions: Mapping = field(default_factory=dict)

    @classmethod
    def of(cls, features, data_samples, classifier, companions=None) -> 'Batch':
        """Split features (V * N, D) into the views that the data samples tell of."""
        targets = view_targets(data_samples)
        if len(features) != sum(map(len, targets)):
            raise ValueError(
                f'data_samples have {len(targets)} views of {len(targets[0])} targets, but there '
                f'are {len(features)} features'
            )
        return cls(split_views(features, len(targets)), targets, classifier, companions or {})

    def plain_labels(self, slot: str) -> torch.Tensor:
        """Labels (N,) of the plain view, also where they are written as one-hot scores.

        Raises:
            ValueError: The images of the plain view are mixtures, for which ``slot`` has no use.
        """
        return pure_labels_of(self.targets[0], slot)

    def class_vectors(self, slot: str) -> torch.Tensor:
        """Rows (K, D) of the classifier.

        Raises:
            TypeError: The classifier has none, or several sets of them.
        """
        return rows_of(self.classifier, slot)

    @cached_property
    def row_counts(self) -> list[int] | None:
        """Images of the plain view on each process; exchanged once, for all slots."""
        return row_counts(self.views[0])


def split_views(rows: torch.Tensor, number: int) -> tuple[torch.Tensor, ...]:
    """Cut rows (V * N, ...) into V views; a single one is not copied in the backward pass."""
    return rows.chunk(number) if number > 1 else (rows,)


def pure_labels_of(target: torch.Tensor, slot: str) -> torch.Tensor:
    """Labels (N,) of a target that must not be mixed; see :meth:`Batch.plain_labels`."""
    labels = pure_labels(target)
    # Scores in the plain view are not the usual case: only they cost a wait for the device.
    if target.dim() == 2 and bool((labels < 0).any()):
        raise ValueError(
            f'{slot} needs one label an image, but the images are mixtures of classes: {WAY_OUT}'
        )
    return labels


def rows_of(classifier: nn.Module, slot: str) -> torch.Tensor:
    """Class vectors (K, D) of a classifier; see :meth:`Batch.class_vectors`."""
    weight = getattr(classifier, 'weight', None)
    if weight is None or weight.dim() != 2:
        raise TypeError(
            f'{slot} compares class vectors, so the classifier needs a weight (K, D), but '
            f'{type(classifier).__name__} has none; set {slot}=None, or give each expert a head'
        )
    return weight
