"""What stands in a config and would do nothing, or train nothing, without a word."""

from collections.abc import Iterator

from mmlt.config_file import type_name
from mmlt.engine.bare_model import bare_model
from mmlt.models.backbones import MultiExpertBackbone


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
