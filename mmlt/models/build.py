"""Build the parts of a module: what a config gives is merged, what a part wants is handed to it."""

import logging

import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.config_file import type_name
from mmlt.models.state import say_once


def build_part(spec: dict | nn.Module, wants: tuple[str, ...] = (), **facts) -> nn.Module:
    """Build a module from its config and hand it the facts that its class wants.

    The rule: a class lists in its attribute ``wants`` what it is to be handed, such as
    ``wants = ('num_classes', 'class_counts')``; subclasses inherit it. Nothing else is handed, and
    what the config gives itself has precedence; class counts that differ are a warning.

    ``MODELS.build`` looks a name up in the registry of the default scope, and under mmdet's, say,
    finds none of mmpretrain's. Here the name is looked up in mmpretrain's, where mmlt registers.

    Args:
        spec (dict | Module): Config with a ``type``; a module is returned as it is.
        wants (tuple[str]): What a class that lists nothing is handed, such as an ``nn.Linear``.
        **facts: What a part may want: ``num_classes``, ``in_channels``, ``class_counts``, ...

    Raises:
        TypeError: The class takes no such argument, or misses one that it does not want.

    Example:
        >>> build_part(dict(type='SoftmaxPairLoss'), num_classes=3).loss_weight
        1.0
        >>> build_part(dict(type='BalancedSoftmaxLoss'), class_counts=[9, 1]).shift.shape
        torch.Size([2])
    """
    if isinstance(spec, nn.Module):
        return spec
    # mmengine leaves the key where the config below has nothing to delete.
    spec = {key: value for key, value in spec.items() if key != '_delete_'}
    kind = MODELS.get(spec['type']) if isinstance(spec['type'], str) else spec['type']
    if kind is None:
        return MODELS.build(spec)  # raises, with the names that there are
    _tell_counts(kind.__name__, spec.get('class_counts'), facts.get('class_counts'))
    wanted = {name: facts[name] for name in getattr(kind, 'wants', wants) if name in facts}
    try:
        return MODELS.build(dict(spec, type=kind), default_args=wanted)
    except TypeError as error:
        error.add_note(
            f'{kind.__name__} was handed {sorted(wanted)}; a class lists in its attribute "wants" '
            f'what it is to be handed, of {sorted(facts)}'
        )
        raise


def _tell_counts(name: str, own, counts) -> None:
    """Tell class counts of a part that are not those of the whole: nothing else compares them."""
    if own is None or counts is None or load_class_counts(own) == load_class_counts(counts):
        return
    say_once(
        f'class_counts of {name} are not those of what it is a part of: its own count. Leave them '
        'out, and it is handed those',
        logging.WARNING,
    )


def as_spec(name: str, given, names: dict[str, str] | None = None):
    """The config that an argument stands for: a name of ``names``, a config or a module.

    Args:
        name (str): The argument's name, for errors.
        given: What the user gave.
        names (dict, optional): Short name -> type.

    Raises:
        ValueError: An unknown short name.
        TypeError: Neither a name nor a dict nor a module.

    Example:
        >>> as_spec('joint', 'softmax', dict(softmax='SoftmaxPairLoss'))
        {'type': 'SoftmaxPairLoss'}
    """
    if given is None or isinstance(given, nn.Module):
        return given
    if isinstance(given, str) and names:
        if given not in names:
            raise ValueError(f'{name} must be one of {sorted(names)} or a config, got {given!r}')
        return dict(type=names[given])
    if not isinstance(given, dict):
        wanted = f'a name of {sorted(names)}, ' if names else ''
        raise TypeError(f'{name} must be {wanted}a config or a module, got {given!r}')
    return dict(given)


def merge_spec(defaults: dict | None, given):
    """Merge what a user gives into defaults; a ``type`` of another name replaces them whole.

    A module, None, and a config with ``_delete_=True`` replace them too. (mmengine takes that key
    away where it deletes something of the config below, and says nothing of it: then the rest is
    merged.)

    Raises:
        ValueError: ``_delete_=True`` without a ``type``: nothing would be left to build.

    Example:
        >>> merge_spec(dict(type='CosineLinear', scale=32.0), dict(scale=16.0))
        {'type': 'CosineLinear', 'scale': 16.0}
        >>> merge_spec(dict(type='CosineLinear', scale=32.0), dict(type='NormedLinear'))
        {'type': 'NormedLinear'}
    """
    if given is None or isinstance(given, nn.Module):
        return given
    delete = given.get('_delete_', False)
    given = {key: value for key, value in given.items() if key != '_delete_'}
    if delete and 'type' not in given:
        raise ValueError(f'_delete_=True deletes the defaults {defaults}: name a type in {given}')
    if (
        delete
        or not defaults
        or ('type' in given and type_name(given['type']) != type_name(defaults['type']))
    ):
        return given
    return {**defaults, **given}


def pretrained_file(module: nn.Module) -> str | None:
    """The file from which a module's own ``init_cfg`` loads weights, if it does.

    Example:
        >>> from mmengine.model import BaseModule
        >>> pretrained_file(BaseModule(init_cfg=dict(type='Pretrained', checkpoint='clip.pth')))
        'clip.pth'
    """
    given = getattr(module, 'init_cfg', None) or []
    specs = [given] if isinstance(given, dict) else given
    return next((spec['checkpoint'] for spec in specs if spec.get('type') == 'Pretrained'), None)
