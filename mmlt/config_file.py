"""Config files as the tools read them: told from checkpoints, with counts found beside them."""

import ast
import difflib
import inspect
import logging
import os
from collections.abc import Container, Mapping, MutableMapping
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

CONFIGS = ('.py', '.json', '.yaml', '.yml')
_COUNTS = ('class_counts', 'target_class_counts')
# What mmengine's Runner and the tools look up in a config, beside the arguments of the Runner.
_LOOKED_UP = (
    'activation_checkpointing', 'auto_scale_lr', 'compile', 'custom_imports', 'sync_bn',
    'efficient_conv_bn_eval', 'find_unused_parameters', 'model_wrapper_cfg', 'resource_limit',
    'runner_type', 'strategy', 'tta_model', 'tta_pipeline',
)  # fmt: skip


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


def merge_options(cfg: Config, options: Mapping | None) -> None:
    """Write ``--cfg-options`` into a config, in place, if the run will look at them.

    A variable of the file, such as ``data_root``, has done its work when the file is read: what was
    made from it keeps its value. That is a warning, with the places that hold the value.

    Args:
        cfg (Config): of a run.
        options (Mapping, optional): dotted key -> value.

    Raises:
        ValueError: a key that begins with nothing that the run or the config knows.

    Example:
        >>> cfg = Config(dict(train_cfg=dict(max_epochs=3)))
        >>> merge_options(cfg, {'train_cfg.max_epochs': 1})
        >>> cfg.train_cfg.max_epochs
        1
    """
    if not options:
        return
    # Imported here: who reads a config needs no Runner.
    from mmengine.runner import Runner

    read = {*inspect.signature(Runner).parameters, *_LOOKED_UP}
    known = read | set(cfg)
    for key, value in options.items():
        first, _, rest = key.partition('.')
        if first not in known:
            raise ValueError(_unknown(key, first, known))
        if first == 'default_hooks' and '.' in rest:
            hook, hooks = rest.partition('.')[0], cfg.get(first) or {}
            new = {f'{first}.{hook}', f'{first}.{hook}.type'} & options.keys()
            if hook not in hooks and not new:
                raise ValueError(_unknown(key, hook, hooks, ' hook'))
        if first not in read and cfg[first] != value:
            run = {name: cfg[name] for name in cfg if name in read}
            places = list(_places(run, cfg[first]))[:3]
            text = f', such as {" or ".join(places)}' if places else ''
            print_log(
                f'--cfg-options {key} is no setting of a run but a variable of the config file, '
                'which is read already: unless code of yours looks at it, it has no effect; name '
                f'the place itself{text}',
                'current',
                logging.WARNING,
            )
    cfg.merge_from_dict(dict(options))


def _unknown(key: str, part: str, known, what: str = '') -> str:
    near = difflib.get_close_matches(part, sorted(known), n=1)
    cure = f', did you mean {near[0]!r}?' if near else ''
    return f'--cfg-options {key}: there is no{what} {part!r}{cure}'


def _places(node, value, place: str = ''):
    """Dotted keys inside a node that have a value."""
    items = node.items() if isinstance(node, Mapping) else ()
    for key, inner in items:
        if not isinstance(inner, Mapping) and inner == value:
            yield place + key
        yield from _places(inner, value, f'{place}{key}.')


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


def values_in_text(text: str | None, names: Container[str]) -> dict:
    """Variables in the text of a config, as a checkpoint keeps it; nothing of it is run.

    What is no plain value, such as a class of a new-style config, is its text.

    Args:
        text (str, optional): what ``Config.pretty_text`` gives; '' or no Python: no variables.
        names (Container[str]): variables that are wanted.

    Example:
        >>> values_in_text('model = dict(type=A.b, scale=3.0); n = 1', ['model'])
        {'model': {'type': 'A.b', 'scale': 3.0}}
    """
    try:
        body = ast.parse(text).body if isinstance(text, str) else []
    except SyntaxError:
        return {}
    found = {}
    for node in body:
        name = getattr(node.targets[0], 'id', None) if isinstance(node, ast.Assign) else None
        if name in names:
            found[name] = _value(node.value)
    return found


def _value(node: ast.expr):
    called = isinstance(node, ast.Call) and getattr(node.func, 'id', None)
    if called == 'dict' and not node.args and all(word.arg for word in node.keywords):
        return {word.arg: _value(word.value) for word in node.keywords}
    if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        return {key.value: _value(value) for key, value in zip(node.keys, node.values)}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


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
