"""Another long tail for a config: one value in place of many."""

import argparse
import copy
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from mmlt.class_counts import load_class_counts
from mmlt.config_file import with_pipeline

_KEYS = ('class_counts', 'target_class_counts')
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def parse_class_counts(text: str) -> str | dict:
    """Read a value of ``--class-counts``: a name or a JSON file, with or without a part set aside.

    Args:
        text: ``NAME`` or ``FILE.json``, as :func:`mmlt.load_class_counts` takes them, or one of
            them and ``,val_fraction=F`` with F in (0, 1).

    Raises:
        ValueError: No counts of that name, or something else behind the comma.
        FileNotFoundError: No such file.

    Example:
        >>> parse_class_counts('cifar100-lt-if50')
        'cifar100-lt-if50'
        >>> parse_class_counts('cifar100-lt-if50,val_fraction=0.1')
        {'base': 'cifar100-lt-if50', 'val_fraction': 0.1}
    """
    base, comma, rest = text.rpartition(',') if ',' in text else (text, '', '')
    spec = base
    if comma:
        key, _, value = rest.partition('=')
        try:
            spec = dict(base=base, val_fraction=float(value))
        except ValueError:
            key = ''
        if key.strip() != 'val_fraction':
            raise ValueError(
                f'class_counts must be NAME, FILE.json or one of these with ,val_fraction=0.1, '
                f'got {text!r}'
            )
    load_class_counts(spec)  # a bad name or fraction is told now
    return spec


def add_class_counts(parser: argparse.ArgumentParser) -> None:
    """Add ``--class-counts``, the flag of all tools that read a config.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_class_counts(parser)
        >>> parser.parse_args(['--class-counts', 'digits-lt-if20']).class_counts
        'digits-lt-if20'
    """

    def spec(text: str):
        try:
            return parse_class_counts(text)
        except (ValueError, TypeError, OSError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    parser.add_argument(
        '--class-counts',
        type=spec,
        metavar='NAME',
        help='another long tail than the config names: cifar100-lt-if50, a JSON file, or either '
        'with ,val_fraction=0.1 to validate on that part of the training images',
    )


def set_class_counts(cfg: Config, spec) -> Config:
    """Return a config with other class counts wherever its own stood.

    Replaced is every ``class_counts`` that equals the config's old one, as a name or in numbers: of
    the head, of datasets, metrics and hooks, also as the ``base`` of a split or a shift. Others
    stay and are named in the log. With a ``val_fraction`` the
    validation set becomes the part that is set aside, and a training set that is not drawn yet is
    put into a :class:`LongTailedDataset`; the test set stays. With another number of classes,
    ``num_classes`` of head and data preprocessor change too.

    Args:
        cfg: A config with class counts; it is not changed.
        spec: What :func:`mmlt.load_class_counts` takes.

    Raises:
        ValueError: The config has no class counts, or no training set where it takes one.

    Example:
        >>> cfg = Config(dict(model=dict(head=dict(class_counts=[5, 2], num_classes=2)),
        ...                   val_evaluator=dict(class_counts=[5, 2])))
        >>> cfg = set_class_counts(cfg, [7, 3])
        >>> cfg.model.head.class_counts, cfg.val_evaluator.class_counts
        ([7, 3], [7, 3])
    """
    cfg = copy.deepcopy(cfg)
    old = _own_counts(cfg)
    counts = load_class_counts(spec)
    kept = _replace(cfg._cfg_dict, old, spec)
    if len(counts) != len(load_class_counts(old)):
        companions = (cfg.get('model') or {}).get('companions') or {}
        heads = [(c.get('model') or {}).get('head') for c in companions.values()]
        for part in (_inner_head(cfg), *heads, cfg.get('data_preprocessor')):
            if part and 'num_classes' in part:
                part.num_classes = len(counts)
    if isinstance(spec, Mapping) and 'val_fraction' in spec:
        _validate_on_part(cfg, spec)
    print_log(
        f'class_counts: {old!r} -> {spec!r}, {len(counts)} classes of {max(counts)} to '
        f'{min(counts)} images',
        logger='current',
        level=logging.INFO,
    )
    if kept:
        print_log(
            f'class_counts that were not {old!r} stay: {", ".join(kept)}',
            logger='current',
            level=logging.WARNING,
        )
    return cfg


def config_name(path: str, spec) -> str:
    """Name a config with other class counts, for its work dir.

    Example:
        >>> config_name('configs/bcl/resnet32_cifar100-lt-if100.py', 'cifar100-lt-if50')
        'resnet32_cifar100-lt-if50'
        >>> config_name('configs/bcl/resnet50_imagenet-lt.py', 'my/counts.json')
        'resnet50_imagenet-lt_counts'
    """
    stem, tail = Path(path).stem, ''
    if isinstance(spec, Mapping):
        tail = f'_val{spec["val_fraction"]:g}' if 'val_fraction' in spec else '_shifted'
        spec = spec['base']
    name = Path(os.fspath(spec)).stem if isinstance(spec, str | os.PathLike) else 'class-counts'
    benchmark, _, _ = name.partition('-if')
    old, mark, rest = stem.partition(f'{benchmark}-if')
    if mark:  # resnet32_cifar100-lt-if100_400e: the factor is in the middle
        return f'{old}{name}{rest.lstrip("0123456789")}{tail}'
    return stem + tail if name in stem else f'{stem}_{name}{tail}'


def _inner_head(cfg: Config):
    model = cfg.get('model') or {}
    return (model.get('module') or model).get('head') or {}


def _own_counts(cfg: Config):
    """The value that stands for the training set; the head's, the loader's, the metric's."""
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    places = [_inner_head(cfg)]
    while dataset:
        places.append(dataset)
        dataset = dataset.get('dataset')
    for name in ('val_evaluator', 'test_evaluator'):
        metrics = cfg.get(name) or []
        places += [metrics] if isinstance(metrics, Mapping) else metrics
    for place in [*places, cfg]:
        if place.get('class_counts') is not None:
            return place.get('class_counts')
    raise ValueError(
        '--class-counts replaces the class_counts of a config, but this one has none: give them '
        'to the head and to ShotAccuracy (README.md, "Use a head in your own config")'
    )


def _replace(part, old, new, place: str = '') -> list[str]:
    """Put ``new`` wherever ``old`` stands; the places of other counts."""
    kept = []
    if isinstance(part, Mapping):
        for key, value in part.items():
            where = f'{place}.{key}' if place else str(key)
            if key not in _KEYS:
                kept += _replace(value, old, new, where)
            elif _same_counts(value, old):
                part[key] = copy.deepcopy(new)
            elif isinstance(value, Mapping) and _same_counts(value.get('base'), old):
                value['base'] = copy.deepcopy(new)
            elif value is not None:
                kept.append(f'{where}={value!r}')
    elif isinstance(part, list | tuple):
        for number, value in enumerate(part):
            kept += _replace(value, old, new, f'{place}[{number}]')
    return kept


def _same_counts(one, other) -> bool:
    """Whether two specs are equal, or the same numbers in another spelling."""
    if one == other or one is None or isinstance(one, Mapping) or isinstance(other, Mapping):
        return one == other
    return load_class_counts(one) == load_class_counts(other)


def _validate_on_part(cfg: Config, spec: Mapping) -> None:
    loader = cfg.get('train_dataloader')
    if not loader:
        raise ValueError('val_fraction sets training images aside, but there is no training set')
    if not cfg.get('val_dataloader'):
        raise ValueError(
            'val_fraction sets images aside to validate on, but val_dataloader is None'
        )
    drawn = loader.dataset
    while 'LongTailedDataset' not in str(drawn.type) and 'dataset' in drawn:
        drawn = drawn.dataset
    if 'LongTailedDataset' not in str(drawn.type):
        # The set as it is, in its own order: the last images of each class are set aside.
        inner = ConfigDict(drawn)
        drawn.clear()
        drawn.update(type='LongTailedDataset', class_counts=spec, split='first_n', dataset=inner)
    cfg.val_dataloader = copy.deepcopy(cfg.val_dataloader)  # it may be the test's
    pipeline = with_pipeline(cfg.val_dataloader.dataset).pipeline
    part = copy.deepcopy(drawn)
    part.part = 'val'
    with_pipeline(part).pipeline = pipeline
    cfg.val_dataloader.dataset = part
