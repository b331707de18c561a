"""A backbone of mmpretrain by name: its config, and what it gives, found by building it."""

import copy
import inspect
from dataclasses import dataclass

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


@dataclass
class Backbone:
    """What a config needs to know of a backbone.

    Args:
        spec (dict): its config.
        width (int): of the features that a head gets.
        pooled (bool): whether they need a GlobalAveragePooling.
        source (str): where the spec comes from.
        weights (str): address of pretrained weights, '' if there are none.
        normalize (dict): mean and standard deviation of the pixels.
        adam (bool): whether the model zoo trains it with AdamW, as transformers want.
        parameters (int): how many it has.
    """

    spec: dict
    width: int
    pooled: bool
    source: str
    weights: str
    normalize: dict
    adam: bool
    parameters: int


def find_backbone(name: str, size: int, options: dict | None = None) -> Backbone:
    """Find a backbone and build it once to see what it gives.

    Args:
        name (str): A model of mmpretrain's zoo ('resnet18_8xb32_in1k'), the beginning of its name
            ('resnet18', 'swin-tiny'): the one for ImageNet whose name is shortest; or the class of
            a backbone ('CifarResNet').
        size (int): Edge of the images in pixels.
        options (dict, optional): Arguments that replace those of the zoo.

    Raises:
        ValueError: No such name, or a backbone that does not take such images or gives no features
            that can be classified.

    Example:
        >>> find_backbone('CifarResNet', 32, dict(depth=20)).width
        64
    """
    init_default_scope('mmpretrain')
    options = options or {}
    if MODELS.get(name) is not None and not name.islower():
        spec, source, cfg, weights = dict(type=name), f'class {name}', {}, ''
    else:
        source, cfg, weights = _from_zoo(name)
        spec = copy.deepcopy(dict(cfg.model.backbone))
    spec = _plain(spec | options)
    spec.pop('init_cfg', None)
    spec.pop('num_classes', None)  # VGG and AlexNet would classify by themselves
    taken = inspect.signature(MODELS.get(spec['type']).__init__).parameters
    if 'img_size' in taken and 'img_size' not in options:
        spec['img_size'] = size
    if 'pad_small_map' in taken:
        spec.setdefault('pad_small_map', True)  # Swin's windows are larger than small maps
    shape, parameters = _probe(spec, size, source)
    optimizer = str((cfg.get('optim_wrapper') or {}).get('optimizer', {}).get('type', 'SGD'))
    preprocessor = cfg.get('data_preprocessor') or {}
    normalize = {key: preprocessor.get(key, IMAGENET[key]) for key in IMAGENET}
    return Backbone(
        spec, shape[1], len(shape) == 4, source, weights, _plain(normalize),
        'Adam' in optimizer or 'Lamb' in optimizer, parameters,
    )  # fmt: skip


def _from_zoo(name: str) -> tuple:
    from mmpretrain.apis.model import ModelHub, list_models

    names = list_models(task='Image Classification')
    fitting = [n for n in names if n == name.lower() or n.startswith(f'{name.lower()}_')]
    if not fitting:
        near = [n for n in names if name.lower() in n][:5]
        hint = f'do you mean {", ".join(near)}' if near else 'see mmpretrain.list_models()'
        raise ValueError(
            f'backbone {name!r} is no model of mmpretrain, no beginning of one and no class of a '
            f'backbone; {hint}?'
        )
    # ImageNet's before CIFAR's; trained by mmpretrain before converted: these name an optimizer.
    fitting.sort(key=lambda n: ('in1k' not in n, '3rdparty' in n, len(n), n))
    found = ModelHub.get(name.lower() if name.lower() in fitting else fitting[0])
    if 'backbone' not in found.config.model:
        raise ValueError(f'backbone {name!r}: {found.name} has no backbone of its own')
    return f'{found.name} of mmpretrain', found.config, found.weights or ''


@torch.no_grad()
def _probe(spec: dict, size: int, source: str) -> tuple[tuple, int]:
    """Shape of the last features of two images, and the number of parameters."""
    try:
        module = MODELS.build(ConfigDict(spec))
        module.eval()  # not chained: some of mmpretrain's return None
        feats = module(torch.zeros(2, 3, size, size))
    except Exception as error:  # whatever a backbone raises
        raise ValueError(
            f'backbone {source} cannot take images of {size} x {size}: '
            f'{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ""}'
        ) from error
    last = feats[-1] if isinstance(feats, tuple | list) else feats
    if not isinstance(last, torch.Tensor) or last.dim() not in (2, 4):
        shape = tuple(last.shape) if isinstance(last, torch.Tensor) else type(last).__name__
        raise ValueError(
            f'backbone {source} gives {shape}, expected (N, D) or (N, D, H, W): choose another, or '
            'another out_type with --backbone-options'
        )
    return tuple(last.shape), sum(p.numel() for p in module.parameters())


def _plain(part):
    """Config types as Python's own, which print as one would write them."""
    if isinstance(part, dict):
        return {key: _plain(value) for key, value in part.items() if key != '_scope_'}
    if isinstance(part, list):
        return [_plain(value) for value in part]
    return tuple(_plain(value) for value in part) if isinstance(part, tuple) else part
