"""The model of a config with the weights of a checkpoint, as strict as a test."""

import copy

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.registry import MODELS

from mmlt.checkpoint import TRAINING_ONLY, CheckpointError, check_weights
from mmlt.class_counts import load_class_counts
from mmlt.models.classifiers.tuned_classifier import BACKBONE_HASH


def use_scope(cfg: Config) -> None:
    """Let names without a scope mean what they mean in a run; classes of new configs need none."""
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')


def open_model(cfg: Config, checkpoint: str):
    """Build the model and load it; what only training uses may be missing, as in a test.

    The config's class counts count, as in a test; where their file is not here, as on another
    machine, those of the checkpoint do. The weights that the backbone began from are loaded only
    where the checkpoint holds a tuner without its backbone.

    Args:
        cfg (Config): of the training.
        checkpoint (str): path or address.

    Returns:
        tuple[nn.Module, dict]: the model on the CPU, and what the checkpoint holds.

    Raises:
        CheckpointError: a checkpoint that does not fit, with what is missing or too much.
    """
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    model = copy.deepcopy(cfg.model)
    model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    state = loaded.get('state_dict', loaded)
    if BACKBONE_HASH not in state:  # the checkpoint of a tuner needs its backbone
        model.get('backbone', {}).pop('init_cfg', None)
    counts = state.get('head.class_counts', state.get('head.experts.0.class_counts'))
    head = model.get('head') or {}
    if counts is not None and len(counts) != head.get('num_classes', len(counts)):
        raise CheckpointError(
            f'checkpoint {checkpoint} has {len(counts)} classes, the config {head.num_classes}: '
            'they do not belong together'
        )
    if counts is not None and (named := head.get('class_counts')) is not None:
        try:
            load_class_counts(named)
        except FileNotFoundError as error:
            print_log(f'class_counts: taken from the checkpoint, as {error}', 'current')
            model.head.class_counts = counts.tolist()
    model = MODELS.build(model)
    strict = (cfg.get('default_hooks') or {}).get('strict_load') or {}
    check_weights(
        model,
        loaded,
        f'checkpoint {checkpoint}',
        missing=TRAINING_ONLY,
        unexpected=strict.get('unexpected', ()),
    )
    return model, loaded
