"""Which images a loader reads: what a printed number is of."""

import hashlib
import os
from collections.abc import Mapping

import numpy as np

from mmlt.config_file import type_name
from mmlt.datasets.labels import read_labels

# What does not choose images.
_NOT_CHOOSING = {
    *('pipeline', 'lazy_init', 'serialize_data', 'max_refetch', 'metainfo', 'download', 'classes'),
    *('check_files', 'test_mode', 'allow_missing', 'backend_args', 'num_classes'),
}
_PATHS = ('data_root', 'ann_file', 'data_prefix', 'img_path')


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
    words = [type_name(inner.get('type', 'dataset'))]
    if isinstance(inner.get('datasets'), list | tuple):
        words[0] = ' and '.join(describe_images(part) for part in inner['datasets'])
    elif inner.get('ann_file'):
        words.append(f'list {inner["ann_file"]}')
    elif inner.get('split'):
        words.append(f'split {inner["split"]}')
    else:
        prefix = inner.get('data_prefix') or ''
        prefix = prefix.get('img_path', '') if isinstance(prefix, Mapping) else prefix
        words += [path] if (path := os.path.join(inner.get('data_root') or '', prefix)) else []
    for wrapper in _wrappers(dataset):
        counts = wrapper.get('class_counts')
        if 'fold' in wrapper:
            number = f'fold {wrapper["fold"]} of {wrapper.get("num_splits", 5)}'
            words.append(number if wrapper.get('test_mode') else f'all but {number}')
        elif isinstance(counts, Mapping) and 'ratio' in counts:
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

    Two parts of one split are different sets, and so are two folds, and a draw and what it leaves.
    A part and the whole are the same: the part is of it.

    Example:
        >>> plain = dict(type='CIFAR100', split='test', pipeline=[])
        >>> same_images(plain, dict(type='LongTailedDataset', dataset=dict(plain, pipeline=[1])))
        True
    """

    def parts(dataset: Mapping) -> list:
        return [
            wrapper.get('part', 'train')
            for wrapper in _wrappers(dataset)
            if 'val_fraction' in (wrapper.get('class_counts') or ())
        ]

    def rests(dataset: Mapping) -> list:
        draws = (wrapper for wrapper in _wrappers(dataset) if 'class_counts' in wrapper)
        return [wrapper.get('part') == 'rest' for wrapper in draws]

    def folds(dataset: Mapping) -> list:
        chosen = ('fold', 'num_splits', 'seed', 'test_mode')
        return [[w.get(key) for key in chosen] for w in _wrappers(dataset) if 'fold' in w]

    if _source(first) != _source(second):
        return False
    return not any(
        choice(first) and choice(second) and choice(first) != choice(second)
        for choice in (parts, rests, folds)
    )


def _source(dataset: Mapping) -> dict:
    """What chooses the images of the innermost dataset, spelled in one way."""
    inner = {k: v for k, v in _innermost(dataset).items() if k not in _NOT_CHOOSING}
    inner |= {key: _normal(inner[key]) for key in _PATHS if key in inner}
    if isinstance(inner.get('datasets'), list | tuple):
        inner['datasets'] = [_source(part) for part in inner['datasets']]
    return inner | dict(type=type_name(inner.get('type', 'dataset')))


def _normal(path):
    if isinstance(path, Mapping):
        return {key: _normal(value) for key, value in path.items()}
    return os.path.normpath(path) if isinstance(path, str) and path else path


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
