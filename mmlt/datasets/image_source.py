"""Which images a loader reads: what a printed number is of."""

import hashlib
import os
from collections.abc import Mapping

import numpy as np

from mmlt.datasets.labels import read_labels

# What does not choose images.
_NOT_CHOOSING = ('pipeline', 'lazy_init', 'serialize_data', 'max_refetch', 'metainfo', 'download')


def describe_images(dataset: Mapping) -> str:
    """Say in a line which images the config of a dataset reads, whatever wraps them.

    Args:
        dataset: Config of a dataset or of a wrapper around one.

    Example:
        >>> describe_images(dict(type='CIFAR100', split='test', pipeline=[]))
        'CIFAR100, split test'
        >>> shifted = dict(base='cifar100-lt-if100', ratio=50, direction='backward', max_count=100)
        >>> describe_images(dict(type='LongTailedDataset', class_counts=shifted,
        ...                      dataset=dict(type='CIFAR100', split='test')))
        'CIFAR100, split test, backward long tail of ratio 50'
        >>> describe_images(dict(type='ImageNetLT', data_root='data', ann_file='val.txt'))
        'ImageNetLT, list val.txt'
    """
    inner = _innermost(dataset)
    kind = inner.get('type', 'dataset')
    words = [getattr(kind, '__name__', str(kind)).removeprefix('mmpretrain.')]
    if inner.get('ann_file'):
        words.append(f'list {inner["ann_file"]}')
    elif inner.get('split'):
        words.append(f'split {inner["split"]}')
    else:
        prefix = inner.get('data_prefix') or ''
        prefix = prefix.get('img_path', '') if isinstance(prefix, Mapping) else prefix
        words += [path] if (path := os.path.join(inner.get('data_root') or '', prefix)) else []
    for wrapper in _wrappers(dataset):
        counts = wrapper.get('class_counts')
        if isinstance(counts, Mapping) and 'ratio' in counts:
            words.append(f'{counts["direction"]} long tail of ratio {counts["ratio"]}')
        elif isinstance(counts, Mapping):
            words.append(f'part {wrapper.get("part", "train")} of {counts["base"]}')
        elif wrapper.get('part') == 'rest':
            name = counts if isinstance(counts, str) else 'the draw'
            words.append(f'what {name} leaves')
        elif isinstance(counts, str):
            words.append(counts)
    return ', '.join(words)


def same_images(first: Mapping, second: Mapping) -> bool:
    """Whether two configs read the same set: other transforms or another draw make no other set.

    Two parts of one split are different sets, and so are a draw and what it leaves.

    Example:
        >>> plain = dict(type='CIFAR100', split='test', pipeline=[])
        >>> same_images(plain, dict(type='LongTailedDataset', dataset=dict(plain, pipeline=[1])))
        True
    """

    def source(dataset: Mapping) -> dict:
        inner = {k: v for k, v in _innermost(dataset).items() if k not in _NOT_CHOOSING}
        if isinstance(inner.get('data_root'), str):
            inner['data_root'] = os.path.normpath(inner['data_root'])
        return inner

    def parts(dataset: Mapping) -> list:
        return [
            wrapper.get('part', 'train')
            for wrapper in _wrappers(dataset)
            if 'val_fraction' in (wrapper.get('class_counts') or ())
        ]

    def rests(dataset: Mapping) -> list:
        draws = (wrapper for wrapper in _wrappers(dataset) if 'class_counts' in wrapper)
        return [wrapper.get('part') == 'rest' for wrapper in draws]

    if source(first) != source(second):
        return False
    if rests(first) and rests(second) and rests(first) != rests(second):
        return False
    return not (parts(first) and parts(second)) or parts(first) == parts(second)


def training_draw(dataset) -> str:
    """Name the images of a built training set: the hash of its draw, or else of its labels.

    Example:
        >>> from mmlt.datasets import DigitsLT
        >>> training_draw(DigitsLT('train')) == training_draw(DigitsLT('train'))
        True
    """
    inner = dataset
    while inner is not None:
        if hasattr(inner, 'split_hash'):
            return inner.split_hash
        inner = getattr(inner, 'dataset', None)
    labels = np.asarray(read_labels(dataset), dtype='<i8')
    return hashlib.sha256(labels.tobytes()).hexdigest()[:12]


def _wrappers(dataset: Mapping):
    while 'dataset' in dataset:
        yield dataset
        dataset = dataset['dataset']


def _innermost(dataset: Mapping) -> Mapping:
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset
