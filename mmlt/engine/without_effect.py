"""What stands in a config and would do nothing, or train nothing, without a word."""

from collections.abc import Iterator

from mmlt.config_file import type_name
from mmlt.engine.bare_model import bare_model
from mmlt.models.backbones import MultiExpertBackbone
from mmlt.models.classifiers import TunedClassifier


def faults(runner) -> Iterator[str]:
    """What must not be trained with, a line each; the training loop is built."""
    if not len(runner.train_dataloader):
        size = getattr(runner.train_dataloader, 'batch_size', None)
        images = len(runner.train_dataloader.dataset)
        yield f'the training set gives no batch: {images} images, batch_size {size}, drop_last'
    kinds = [type_name(spec.get('type', '')) for spec in _preprocessors(runner)]
    if all(kinds) and kinds[0] != kinds[1]:
        yield (
            f'data_preprocessor ({kinds[0]}) has no effect: model.data_preprocessor of the base '
            f'({kinds[1]}) stands before it; write it as '
            'model = dict(data_preprocessor=dict(_delete_=True, ...))'
        )
    model = bare_model(runner)
    backbone, head = getattr(model, 'backbone', None), getattr(model, 'head', None)
    number = backbone.num_experts if isinstance(backbone, MultiExpertBackbone) else 1
    if number > 1 and not hasattr(head, 'experts'):
        yield (
            f'backbone has {number} experts, but {type(head).__name__} sees the last alone, the '
            'others would never be trained: take '
            f"head=dict(type='ExpertsHead', num_experts={number}, ...)"
        )
    if isinstance(model, TunedClassifier):
        yield from _tuner_faults(runner, model)


def _tuner_faults(runner, model: TunedClassifier) -> Iterator[str]:
    """What a frozen backbone forbids."""
    if runner.cfg.get('activation_checkpointing'):
        # A part is run without gradient, and again if its input has one. Behind frozen weights it
        # has none (LoRA in the first block), and what leaves a part on another way than its output
        # has lost it (AdaptFormer's branch).
        yield (
            f'activation_checkpointing may give {type(model.tuner).__name__} wrong gradients or '
            'none, since what is before it is frozen: remove it; for less memory take '
            "optim_wrapper.type='AmpOptimWrapper', or a smaller batch_size and "
            'optim_wrapper.accumulative_counts'
        )
    hooks = [hook for hook in getattr(runner, 'hooks', ()) if hasattr(hook, 'ema_model')]
    for hook in hooks if model.saved == 'trained' else ():
        if hook.ema_model.module.backbone_sha256() != model.backbone_sha256():
            yield (
                f'{type(hook).__name__} averages on another backbone than the model has, for it '
                'went to another device before the weights were loaded: give the hook no device, '
                "or set model.saved='all'"
            )


def doubts(runner) -> Iterator[str]:
    """What may be meant so, a line each."""
    given, taken = _preprocessors(runner)
    lost = sorted(key for key, value in given.items() if key != 'type' and taken.get(key) != value)
    if taken and lost:
        values = ', '.join(f'{key}={taken.get(key)!r} for {given[key]!r}' for key in lost)
        yield (
            'data_preprocessor of the config has no effect, model.data_preprocessor stands before '
            f'it: {values}'
        )


def _preprocessors(runner) -> tuple[dict, dict]:
    """The config's data preprocessor, and the model's own, which mmengine takes before it."""
    model = runner.cfg.get('model') or {}
    return runner.cfg.get('data_preprocessor') or {}, model.get('data_preprocessor') or {}
