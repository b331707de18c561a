"""A tuned model as the plain classifier that computes the same."""

import copy

import torch.nn as nn
from mmengine.config import Config

from mmlt.checkpoint import CheckpointError


def fold_tuner(model: nn.Module, cfg: Config, checkpoint: dict) -> dict:
    """Write the tuner of a ``TunedClassifier`` into the weights of its backbone.

    Args:
        model (TunedClassifier): with the weights of the checkpoint; is changed.
        cfg (Config): of the training.
        checkpoint (dict): what was loaded.

    Returns:
        dict: a checkpoint of an ``ImageClassifier``, with its config in ``meta.cfg``; optimizer,
        schedulers and logs are left out.

    Raises:
        CheckpointError: another model.
        ValueError: a tuner that cannot be folded (AdaptFormer, VisualPrompts).

    Example:
        >>> from mmpretrain.registry import MODELS
        >>> vit = dict(type='VisionTransformer', arch='deit-tiny', img_size=32)
        >>> head = dict(type='LinearClsHead', num_classes=3, in_channels=192)
        >>> spec = dict(type='TunedClassifier', tuner=dict(type='LoRA'), backbone=vit, head=head)
        >>> folded = fold_tuner(MODELS.build(spec), Config(dict(model=spec)), {})
        >>> any('tuner' in name for name in folded['state_dict'])
        False
    """
    if not hasattr(model, 'fold_tuner'):
        raise CheckpointError(f'{type(model).__name__} has no tuner to fold')
    plain = copy.deepcopy(cfg)
    plain.model.type = 'ImageClassifier'
    for part, key in (('model', 'tuner'), ('model', 'saved'), ('backbone', 'init_cfg'),
                      ('head', 'init_cfg')):  # fmt: skip
        (plain.model if part == 'model' else plain.model[part]).pop(key, None)
    meta = dict(checkpoint.get('meta') or {}, cfg=plain.pretty_text)
    return dict(meta=meta, state_dict=model.fold_tuner())
