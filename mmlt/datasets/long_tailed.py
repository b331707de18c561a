import copy
import hashlib
import logging
from contextlib import contextmanager

import numpy as np
from mmengine.dataset import force_full_init
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from mmlt.class_counts import load_class_counts, load_validation_counts
from mmlt.datasets.image_errors import name_broken_image
from mmlt.datasets.wrapper import DatasetWrapper

SPLITS = ('ldam', 'first_n')
PARTS = ('train', 'val', 'rest')


@DATASETS.register_module()
class LongTailedDataset(DatasetWrapper):
    """Keep ``class_counts[k]`` images of class k of a dataset.

    Which images are kept changes results, so the draw has a name: 'ldam' visits the classes in
    label order, shuffles the indices of each with one numpy RandomState(seed) stream and keeps
    the first; 'first_n' keeps the first ones in the order of the dataset (the released split of
    BCE3S). Both order the kept images class by class. The hash of the indices is logged.

    With ``class_counts=dict(base=..., val_fraction=0.1)`` the images drawn for ``base`` are shared
    out: the last of each class are the validation part, the others the training part. Two datasets
    that differ in ``part`` (and pipeline) alone are the two sides of one split. The test set has
    no part in it. ``part='rest'`` are the images that no draw takes: where a balanced training set
    was made long-tailed, these are validation images that cost the training none.

    With ``class_counts=dict(base=..., ratio=50, direction='backward', max_count=100)`` and a
    balanced test set as ``dataset`` this is the test set of a shifted prior.

    Args:
        dataset (dict | BaseDataset): config or instance of any single-label mmpretrain dataset.
            An instance is not changed.
        class_counts (Sequence[int] | str | dict): images to keep, see
            :func:`mmlt.load_class_counts`.
        split (str): 'ldam' or 'first_n'. Defaults to 'ldam'.
        seed (int): seed of 'ldam'; 0 is the published split. Unused by 'first_n'.
        lazy_init (bool): wait with reading the data until they are needed. Defaults to False,
            or to the ``lazy_init`` of the dataset config.
        part (str): 'train', 'val' for what ``val_fraction`` takes from it, or 'rest' for what
            neither takes. Defaults to 'train'.
        pipeline (Sequence, optional): replaces the pipeline of the dataset config.

    Attributes:
        class_counts (list[int]): images kept, in label order; 'val' and 'rest' may have none of a
            class. That of 'rest' is there once the data were read.
        indices (list[int]): positions of the kept images in the wrapped dataset.
        split_hash (str): first 12 hex digits of the SHA-256 of ``indices`` (little-endian int64).
        draw_hash (str): the same of both parts together, which is the ``split_hash`` without
            ``val_fraction``.

    Raises:
        TypeError: ``dataset`` is neither a config nor an mmpretrain BaseDataset.
        ValueError: unknown split or part, an empty 'val' or 'rest', more images wanted than there
            are, wrong number of classes, a broken image.

    Source: Cao et al., LDAM-DRW (NeurIPS 2019), released code, for 'ldam'.

    Example:
        >>> data = LongTailedDataset(dict(type='DigitsLT'), 'digits-lt-if50')
        ... # doctest: +SKIP
        >>> len(data), data.class_counts[0], data.class_counts[-1]  # doctest: +SKIP
        (314, 114, 2)
    """

    def __init__(
        self,
        dataset,
        class_counts,
        split='ldam',
        seed=0,
        lazy_init=None,
        part='train',
        pipeline=None,
    ):
        if split not in SPLITS:
            raise ValueError(f'LongTailedDataset: split must be one of {SPLITS}, got {split!r}')
        if part not in PARTS:
            raise ValueError(f'LongTailedDataset: part must be one of {PARTS}, got {part!r}')
        shares = dict(
            train=load_class_counts(class_counts), val=load_validation_counts(class_counts)
        )
        if part != 'rest' and sum(shares[part]) == 0:
            raise ValueError(
                "LongTailedDataset: part='val' has no images: class_counts must be "
                'dict(base=..., val_fraction=...) with a fraction that leaves it some, '
                f'got {class_counts!r}'
            )
        if pipeline is not None and not isinstance(dataset, dict):
            raise TypeError(
                'LongTailedDataset: pipeline replaces that of a dataset config, but dataset is a '
                f'{type(dataset).__name__}: set its own'
            )
        if isinstance(dataset, dict):
            if lazy_init is None:
                lazy_init = dataset.get('lazy_init', False)
            dataset = dataset if pipeline is None else dict(dataset, pipeline=pipeline)
            with _hint_at_layout():
                dataset = DATASETS.build(dataset)
        if not isinstance(dataset, BaseDataset):
            raise TypeError(
                'LongTailedDataset: dataset must be the config or an instance of an mmpretrain '
                f'BaseDataset, got {type(dataset).__name__}'
            )
        # A shallow copy: taking the subset later rebinds its data and leaves the caller's alone.
        # (BaseDataset.get_subset would share one pipeline among all subsets of a dataset, and
        # keep every subset alive, by its mutable default argument.)
        self.dataset = copy.copy(dataset)
        self._shares = shares
        self.class_counts = shares.get(part)
        self.split = split
        self.seed = seed
        self.part = part
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def class_to_idx(self) -> dict:
        """Label of every class name."""
        return {name: label for label, name in enumerate(self.CLASSES)}

    def full_init(self) -> None:
        """Read the wrapped dataset and take the subset."""
        if self._fully_initialized:
            return
        with _hint_at_layout():
            self.dataset.full_init()
        total = len(self.dataset)
        labels = _checked_labels(self.dataset, len(self._shares['train']))
        drawn, self.indices = self._choose(labels)
        if self.part == 'rest':
            self.class_counts = np.bincount(
                labels[self.indices], minlength=len(self._shares['train'])
            ).tolist()
        self.draw_hash, self.split_hash = _hash(drawn), _hash(self.indices)
        self.dataset.get_subset_(self.indices)
        self._fully_initialized = True
        print_log(
            f'LongTailedDataset: {len(self.indices)} of {total} images, '
            f'{len(self.class_counts)} classes of {max(self.class_counts)} to '
            f'{min(self.class_counts)}, {self._split_name()}, hash {self.split_hash}'
            + (f' of {self.draw_hash}' if self._has_parts() else ''),
            logger='current',
            level=logging.INFO,
        )

    def _choose(self, labels: np.ndarray) -> tuple[list[int], list[int]]:
        """Indices of the whole draw and those of this part."""
        rng = np.random.RandomState(self.seed)
        drawn, chosen = [], []
        for label, (train, val) in enumerate(zip(self._shares['train'], self._shares['val'])):
            members = np.flatnonzero(labels == label)
            wanted = train + val
            if wanted > len(members):
                name = f' ({self.CLASSES[label]})' if self.CLASSES else ''
                raise ValueError(
                    f'LongTailedDataset: class_counts wants {wanted} images of class '
                    f'{label}{name}, the dataset has {len(members)}'
                )
            if self.split == 'ldam':
                rng.shuffle(members)
            members = members.tolist()
            drawn += members[:wanted]
            parts = dict(train=members[:train], val=members[train:wanted], rest=members[wanted:])
            chosen += parts[self.part]
        if not chosen:
            raise ValueError(
                "LongTailedDataset: part='rest' has no images: the draw takes them all"
            )
        return drawn, chosen

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Annotation of the idx-th kept image."""
        return self.dataset.get_data_info(idx)

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """Label of the idx-th kept image, in a list."""
        return self.dataset.get_cat_ids(idx)

    @force_full_init
    def get_gt_labels(self) -> np.ndarray:
        """Labels of all kept images."""
        return np.repeat(np.arange(len(self.class_counts)), self.class_counts)

    @force_full_init
    def __getitem__(self, idx: int):
        with name_broken_image(lambda: self.dataset.get_data_info(idx)):
            return self.dataset[idx]

    @force_full_init
    def __len__(self) -> int:
        return len(self.dataset)

    @force_full_init
    def get_subset(self, indices):
        """Some of the kept images, as a dataset of the wrapped kind; what k-fold tools ask for."""
        subset = copy.copy(self.dataset)
        subset.get_subset_(indices)
        return subset

    def _has_parts(self) -> bool:
        return self.part == 'rest' or any(self._shares['val'])

    def _split_name(self) -> str:
        name = f'split {self.split}' + (f' (seed {self.seed})' if self.split == 'ldam' else '')
        return f'{name}, part {self.part}' if self._has_parts() else name

    def __repr__(self) -> str:
        state = f'{len(self)} images' if self._fully_initialized else 'not initialised'
        head = f'Dataset LongTailedDataset ({state}, {self._split_name()}) of'
        return '\n'.join([head, *(f'    {line}' for line in repr(self.dataset).split('\n'))])


def _hash(indices: list[int]) -> str:
    return hashlib.sha256(np.asarray(indices, dtype='<i8').tobytes()).hexdigest()[:12]


@contextmanager
def _hint_at_layout():
    """mmpretrain's datasets name the missing file, but not where it comes from."""
    try:
        yield
    except (OSError, RuntimeError, AssertionError) as error:
        error.add_note(
            'LongTailedDataset could not read its dataset; tools/dataset_converters/README.md '
            'shows the folders that the configs expect and the commands that make them'
        )
        raise


def _checked_labels(dataset, num_classes: int) -> np.ndarray:
    labels = np.asarray(dataset.get_gt_labels())
    if labels.ndim != 1:
        raise ValueError(
            f'LongTailedDataset: one label an image is needed, got labels of shape {labels.shape}'
        )
    names = dataset.CLASSES
    found = len(names) if names is not None else int(labels.max()) + 1
    if found != num_classes:
        raise ValueError(
            f'LongTailedDataset: class_counts has {num_classes} classes, the dataset has {found}'
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f'LongTailedDataset: labels must lie in 0..{num_classes - 1}, '
            f'got {labels.min()}..{labels.max()}'
        )
    return labels
