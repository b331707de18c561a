"""All that a slot may see of a batch."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
class CompanionOutput:
    """What a companion, such as a teacher or a momentum encoder, made of the views it saw.

    Args:
        features (Mapping): View -> features (N, D) of each expert, in a tuple; one for all if the
            companion has no experts. Without gradient, as everything here.
        logits (Mapping): View -> logits (N, K), where the companion has a classifier.
        momentum (float, optional): By how much a momentum encoder stays what it was in a step.
        targets (Mapping): View -> labels (N,) or soft labels (N, K) of what it saw. Those of the
            batch's views are filled in by :class:`CompanionClassifier` where there are none.

    Example:
        >>> output = CompanionOutput({1: (torch.zeros(2, 4), torch.ones(2, 4))})
        >>> output.of_expert(1, 2).key
        tensor([[1., 1., 1., 1.],
                [1., 1., 1., 1.]])
    """

    features: Mapping[int, tuple[torch.Tensor, ...]]
    logits: Mapping[int, torch.Tensor] = field(default_factory=dict)
    momentum: float | None = None
    targets: Mapping[int, torch.Tensor] = field(default_factory=dict)

    @property
    def key_view(self) -> int:
        """The last of the companion's views, in the order in which it names them."""
        return list(self.features)[-1]

    @property
    def key(self) -> torch.Tensor:
        """Features (N, D) of :attr:`key_view`: what queues remember."""
        return self.features[self.key_view][0]

    def of_expert(self, expert: int, number: int) -> 'CompanionOutput':
        """What concerns one expert of several."""
        found = {len(features) for features in self.features.values()}
        if found == {1}:
            return self
        if found != {number}:
            raise ValueError(
                f'a companion gives features of {sorted(found)} experts, the head has {number}: '
                'both need a head of as many experts, or none'
            )
        features = {view: (found[expert],) for view, found in self.features.items()}
        return replace(self, features=features)


def of_expert(output, expert: int, number: int):
    """What concerns one expert of several of a companion's output; anything else as it is."""
    return output.of_expert(expert, number) if isinstance(output, CompanionOutput) else output


@dataclass(frozen=True)
class Batch:
    """Features and targets of V views of N images, the classifier, and what runs beside it.

    A slot is a module ``slot(batch) -> loss``.

    Args:
        views (Sequence[Tensor]): V x (N, D) features, the plain view first.
        targets (Sequence[Tensor]): V x (N,) labels or (N, K) soft labels.
        classifier (Module): The layer that the test uses.
        companions (Mapping): Name -> :class:`CompanionOutput` of what else saw the images.
        samples (Sequence): Data samples of the plain view, N of them.
        first (Batch, optional): The batch of the first of several experts: what the experts have
            in common is found out once.

    Example:
        >>> batch = Batch([torch.rand(2, 4)], [torch.tensor([0, 1])], nn.Linear(4, 3))
        >>> batch.plain_labels('contrast')
        tensor([0, 1])
    """

    views: Sequence[torch.Tensor]
    targets: Sequence[torch.Tensor]
    classifier: nn.Module
    companions: Mapping = field(default_factory=dict)
    samples: Sequence = ()
    first: 'Batch | None' = None

    @classmethod
    def of(cls, features, data_samples, classifier, companions=None, first=None) -> 'Batch':
        """Split features (V * N, D) into the views that the data samples tell of."""
        targets = view_targets(data_samples)
        if len(features) != sum(map(len, targets)):
            raise ValueError(
                f'data_samples have {len(targets)} views of {len(targets[0])} targets, but there '
                f'are {len(features)} features'
            )
        samples = data_samples[: len(targets[0])]
        views = split_views(features, len(targets))
        return cls(views, targets, classifier, companions or {}, samples, first)

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

    def companion(self, name: str, slot: str) -> CompanionOutput:
        """Output of the companion ``name``.

        Raises:
            ValueError: There is none.
        """
        if name not in self.companions:
            found = f'has {sorted(self.companions)}' if self.companions else 'has none'
            raise ValueError(
                f'{slot} needs the companion {name!r}, but the model {found}: take '
                f"model=dict(type='CompanionClassifier', companions=dict({name}=...), ...), or "
                'leave the slot out'
            )
        return self.companions[name]

    def logits(self, view: int = 0) -> torch.Tensor:
        """Logits (N, K) of a view as the test has them: no margin, no prior of the training."""
        return self.classifier(matched(self.views[view], self.classifier))

    @cached_property
    def row_counts(self) -> list[int] | None:
        """Images of the plain view on each process; exchanged once, for all slots and experts."""
        return row_counts(self.views[0]) if self.first is None else self.first.row_counts

    @cached_property
    def image_ids(self) -> torch.Tensor:
        """Number (N,) of each image in its set, as a floating tensor.

        Sets that are concatenated count from 0 each; see :attr:`path_ids`.

        Raises:
            ValueError: The data samples do not tell.
        """
        if self.first is not None:
            return self.first.image_ids
        ids = [sample.get('sample_idx') for sample in self.samples]
        if len(ids) != len(self.views[0]) or None in ids:
            raise ValueError(
                "the data samples need 'sample_idx', to know an image again: leave it among the "
                'meta_keys of PackInputs'
            )
        return torch.tensor(ids, dtype=torch.float32).to(self.views[0].device, non_blocking=True)

    @cached_property
    def path_ids(self) -> torch.Tensor:
        """Checksum (N,) of each image's path, as a floating tensor; -1 where it has none."""
        if self.first is not None:
            return self.first.path_ids
        sums = [_checksum(sample.get('img_path')) for sample in self.samples]
        return torch.tensor(sums, dtype=torch.float32).to(self.views[0].device, non_blocking=True)


def _checksum(path) -> int:
    """24 bits, which float32 holds exactly; -1 of None."""
    # Not hash(), which differs from process to process.
    return -1 if path is None else zlib.crc32(str(path).encode(errors='replace')) & 0xFFFFFF


def split_views(rows: torch.Tensor, number: int) -> tuple[torch.Tensor, ...]:
    """Cut rows (V * N, ...) into V views; a single one is not copied in the backward pass."""
    return rows.chunk(number) if number > 1 else (rows,)


def matched(features: torch.Tensor, classifier: nn.Module) -> torch.Tensor:
    """Features (N, D) in the classifier's dtype: half ones of a backbone under autocast."""
    return features.to(next(classifier.parameters(), features).dtype)


def pure_labels_of(target: torch.Tensor, slot: str, way_out: str = WAY_OUT) -> torch.Tensor:
    """Labels (N,) of a target that must not be mixed; see :meth:`Batch.plain_labels`."""
    labels = pure_labels(target)
    # Scores in the plain view are not the usual case: only they cost a wait for the device.
    if target.dim() == 2 and bool((labels < 0).any()):
        raise ValueError(
            f'{slot} needs one label an image, but the images are mixtures of classes: {way_out}'
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
