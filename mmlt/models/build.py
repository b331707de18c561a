"""Build the parts of a module, whatever default scope its user works in."""

import inspect

import torch.nn as nn
from mmpretrain.registry import MODELS


def build_part(spec: dict | nn.Module, class_counts=None, **defaults) -> nn.Module:
    """Build a module from its config.

    ``MODELS.build`` looks a name up in the registry of the default scope, and under mmdet's, say,
    finds none of mmpretrain's. Here the name is looked up in mmpretrain's, where mmlt registers.

    Args:
        spec (dict | Module): Config with a ``type``; a module is returned as it is.
        class_counts (list[int], optional): Given to a type that takes ``class_counts``, unless the
            config has its own.
        **defaults: Arguments that the config may override; each is given only to a type that takes
            it.

    Example:
        >>> build_part(dict(type='NormedLinear', out_features=3), in_features=2)
        NormedLinear(in_features=2, out_features=3, bias=True)
    """
    if isinstance(spec, nn.Module):
        return spec
    kind = MODELS.get(spec['type']) if isinstance(spec['type'], str) else spec['type']
    if kind is not None:
        spec = dict(spec, type=kind)
        parameters = inspect.signature(kind.__init__).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            defaults = {name: value for name, value in defaults.items() if name in parameters}
        if 'class_counts' in parameters:
            defaults['class_counts'] = class_counts
    return MODELS.build(spec, default_args=defaults)
