"""Config files as the tools read them: told from checkpoints, with counts found beside them."""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from mmengine.config import Config

CONFIGS = ('.py', '.json', '.yaml', '.yml')
_COUNTS = ('class_counts', 'target_class_counts')


def read_config(path: str) -> Config:
    """Read a config file; files of class counts that it names are looked for beside it.

    Args:
        path (str): config file.

    Returns:
        Config: ``class_counts='counts.json'`` has become the path of that file in the folder of
        the config, if it is there; if not, it stays, and is looked for in the working directory.

    Example:
        >>> read_config('configs/bce3s/resnet20_digits-lt.py').class_counts
        'digits-lt-if50'
    """
    cfg = Config.fromfile(path)
    _find_counts(cfg._cfg_dict, Path(path).resolve().parent)
    return cfg


def paths_fault(config: str, *checkpoints: str) -> str:
    """Say what is wrong with the paths on a command line; '' if they can be read.

    Args:
        config (str): what was given as CONFIG.
        *checkpoints (str): what was given as CHECKPOINT; addresses (``https://``) are not asked.

    Example:
        >>> paths_fault('epoch_20.pth', 'mine.py')
        'CONFIG comes before CHECKPOINT, got epoch_20.pth mine.py'
    """
    is_config = config.endswith(CONFIGS)
    for checkpoint in checkpoints:
        if checkpoint.endswith(CONFIGS):
            if is_config:
                return f'CHECKPOINT {checkpoint} is a config file, expected a checkpoint (.pth)'
            return f'CONFIG comes before CHECKPOINT, got {config} {checkpoint}'
    if not is_config:
        order = ': CONFIG comes first' if checkpoints else ''
        return f'CONFIG must be a config file ({", ".join(CONFIGS)}), got {config}{order}'
    if '::' not in config and not os.path.isfile(config):
        return f'CONFIG {config} does not exist or is no file'
    for checkpoint in checkpoints:
        # What has a scheme, such as https://, is found by mmengine.
        if '://' not in checkpoint and not os.path.isfile(os.path.expanduser(checkpoint)):
            return f'CHECKPOINT {checkpoint} does not exist or is no file'
    return ''


def type_name(kind) -> str:
    """Name of a ``type`` of a config: a name, with or without its registry's scope, or a class.

    Example:
        >>> type_name('mmpretrain.CIFAR100'), type_name('CIFAR100'), type_name(dict)
        ('CIFAR100', 'CIFAR100', 'dict')
    """
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


def with_pipeline(dataset: Mapping) -> Mapping:
    """The config of a dataset inside its wrappers, the one whose pipeline is used.

    Example:
        >>> images = dict(type='DigitsLT', pipeline=[])
        >>> with_pipeline(dict(type='LongTailedDataset', dataset=images)) is images
        True
    """
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def _find_counts(part, folder: Path) -> None:
    if isinstance(part, MutableMapping):
        for key, value in part.items():
            if key in _COUNTS:
                if isinstance(value, str):
                    part[key] = _beside(value, folder)
                elif isinstance(value, Mapping) and isinstance(value.get('base'), str):
                    value['base'] = _beside(value['base'], folder)
            else:
                _find_counts(value, folder)
    elif isinstance(part, list | tuple):
        for value in part:
            _find_counts(value, folder)


def _beside(path: str, folder: Path) -> str:
    found = folder / path
    return str(found) if path.endswith('.json') and found.is_file() else path
