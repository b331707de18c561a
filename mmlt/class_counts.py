"""Images per class: from a list, a JSON file, the name of a benchmark, or a part of these."""

import json
import re
from collections.abc import Mapping
from numbers import Integral
from os import PathLike
from pathlib import Path

from mmlt.functional.profiles import (
    exponential_class_counts,
    shifted_class_counts,
    step_class_counts,
    validation_counts,
)

_FOLDER = Path(__file__).parent / 'datasets' / 'class_counts'
_FILES = {
    'imagenet-lt': 'imagenet_lt.json',
    'inaturalist2018': 'inaturalist2018.json',
    'places-lt': 'places_lt.json',
}
# Balanced base -> (classes, images of the largest class). 114 is the training size of the
# smallest class of DigitsLT, so every profile that starts there can be cut from it.
_PROFILES = {'cifar10': (10, 5000), 'cifar100': (100, 500), 'digits': (10, 114)}
_PROFILE_NAME = re.compile(r'(\w+)-lt-(step-)?if(\d+)', re.ASCII)
_KNOWN = (
    "'imagenet-lt', 'inaturalist2018', 'places-lt', "
    "'{cifar10,cifar100,digits}-lt-if<N>' and '{cifar10,cifar100,digits}-lt-step-if<N>' "
    "with the imbalance factor N, for example 'cifar100-lt-if50'"
)
# Counts that float64 tells apart.
_MOST = 2**53
_SPLIT_KEYS = {'base', 'val_fraction'}
_SHIFT_KEYS = {'base', 'ratio', 'direction', 'max_count'}


def load_class_counts(spec) -> list[int]:
    """Return the number of training images of every class, in label order.

    The profiles are LDAM's: class k of K has ``int(n_max * (1 / N) ** (k / (K - 1)))`` images
    (exponential), or the later half of the classes has ``int(n_max / N)`` (step).

    Args:
        spec (Sequence[int] | Tensor | ndarray | str | PathLike | dict): the counts themselves
            (each >= 1), the path of a JSON file that holds them as one plain list (written by
            ``tools/dataset_converters/count_classes.py``), or a name: 'imagenet-lt',
            'inaturalist2018', 'places-lt', 'cifar10-lt-if100', 'cifar10-lt-step-if100',
            'cifar100-lt-if50', 'digits-lt-if50', with any whole imbalance factor >= 1. Or what is
            made of such a ``base``:
            ``dict(base=..., val_fraction=0.1)``: the training part that a validation split
            leaves, see :func:`mmlt.functional.validation_counts`;
            ``dict(base=..., ratio=50, direction='backward', max_count=100)``: a test set with a
            shifted prior, see :func:`mmlt.functional.shifted_class_counts`. ``max_count`` is
            what the balanced test set has of every class: 1000 for CIFAR-10, 100 for CIFAR-100,
            50 for ImageNet-LT.

    Returns:
        list[int]: one positive count a class.

    Raises:
        ValueError: unknown name, empty list, a count < 1, a JSON file that holds no list, a dict
            with other keys than these.
        TypeError: a count that is not an integer, or a spec of another type.
        FileNotFoundError: no JSON file at the path.

    Source: counts of the three large benchmarks from their official training lists; profiles
        from Cao et al., LDAM-DRW (NeurIPS 2019), section 4 and released code.

    Example:
        >>> sum(load_class_counts('cifar100-lt-if100'))
        10847
        >>> load_class_counts([50, 10, 2])
        [50, 10, 2]
        >>> load_class_counts(dict(base=[50, 10, 2], val_fraction=0.1))
        [45, 9, 2]
        >>> load_class_counts(dict(base=[5, 9, 2], ratio=4, direction='forward', max_count=8))
        [4, 8, 2]
    """
    if isinstance(spec, str | PathLike):
        return _from_string(spec)
    if isinstance(spec, Mapping):
        base, change = _from_mapping(spec)
        if 'ratio' in change:
            return shifted_class_counts(base, **change)
        return [n - v for n, v in zip(base, validation_counts(base, **change))]
    if hasattr(spec, 'tolist'):
        spec = spec.tolist()
    if not isinstance(spec, list | tuple):
        raise TypeError(
            'class_counts must be a sequence of integers, the path of a JSON file, a name or a '
            f'dict, got {spec!r} of type {type(spec).__name__}'
        )
    return _checked(spec, 'class_counts')


def load_validation_counts(spec) -> list[int]:
    """Return the number of images of every class that ``val_fraction`` of a spec sets aside.

    Args:
        spec: as for :func:`load_class_counts`.

    Returns:
        list[int]: one count >= 0 a class; all are 0 if the spec has no ``val_fraction``.

    Raises:
        ValueError, TypeError, FileNotFoundError: as :func:`load_class_counts`.

    Example:
        >>> load_validation_counts(dict(base=[50, 10, 2], val_fraction=0.1))
        [5, 1, 0]
    """
    if isinstance(spec, Mapping) and 'val_fraction' in spec:
        base, change = _from_mapping(spec)
        return validation_counts(base, **change)
    return [0] * len(load_class_counts(spec))


def _from_mapping(spec: Mapping) -> tuple[list[int], dict]:
    # mmengine leaves its mark in a config where there was nothing to replace.
    change = {name: value for name, value in spec.items() if name != '_delete_'}
    unknown = sorted(set(change) - _SPLIT_KEYS - _SHIFT_KEYS)
    if unknown or set(change) not in (_SPLIT_KEYS, _SHIFT_KEYS):
        raise ValueError(
            'a dict of class_counts must have either the keys base and val_fraction (a training '
            'set) or base, ratio, direction and max_count (a test set), '
            + (f'unknown are {unknown}' if unknown else f'got {sorted(change)}')
        )
    return load_class_counts(change.pop('base')), change


def _from_string(spec) -> list[int]:
    name = str(spec)
    if name in _FILES:
        return json.loads((_FOLDER / _FILES[name]).read_text())
    match = _PROFILE_NAME.fullmatch(name)
    if match and match[1] in _PROFILES:
        profile = step_class_counts if match[2] else exponential_class_counts
        counts = profile(*_PROFILES[match[1]], int(match[3]))
        return _checked(counts, f'class_counts {name!r}')
    path = Path(name).expanduser()
    if path.suffix != '.json' and not path.is_file():
        raise ValueError(f'unknown class_counts {name!r}: neither a file nor one of {_KNOWN}')
    if not path.is_file():
        raise FileNotFoundError(
            f'class_counts file {name!r} does not exist; write it with '
            '"python -m mmlt count_classes", or give one of the names ' + _KNOWN
        )
    try:
        counts = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f'class_counts file {name!r} is not valid JSON: {error}') from error
    if not isinstance(counts, list):
        raise ValueError(
            f'class_counts file {name!r} must hold one plain list of integers, '
            f'got {type(counts).__name__}'
        )
    return _checked(counts, f'class_counts file {name!r}')


def _checked(counts, source: str) -> list[int]:
    if len(counts) == 0:
        raise ValueError(f'{source} is empty, expected one positive integer a class')
    for index, count in enumerate(counts):
        # bool is an Integral too, and a list of masks is a likely mistake.
        if isinstance(count, bool) or not isinstance(count, Integral):
            raise TypeError(
                f'{source}: class {index} has count {count!r} of type {type(count).__name__}, '
                'expected an integer'
            )
        if count > _MOST:
            raise ValueError(
                f'{source}: class {index} has {count} training images, at most {_MOST}'
            )
        if count < 1:
            raise ValueError(
                f'{source}: class {index} has {count} training images, expected at least 1; '
                'leave a class without images out of the labels'
            )
    return [int(count) for count in counts]
