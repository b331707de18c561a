"""The model of a runner, without the wrapper that several processes need, and its slots."""

from mmengine.model import is_model_wrapper
from torch import nn


def bare_model(runner) -> nn.Module:
    """Return ``runner.model``, or the module inside it if it is wrapped (DDP)."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def slots_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The slots of the head and of its experts that are not at rest; none of another head."""
    head = getattr(model, 'head', None)
    heads = {'': head} | {f'experts.{m}.': e for m, e in enumerate(getattr(head, 'experts', ()))}
    return [
        (prefix + name, slot)
        for prefix, inner in heads.items()
        for name, slot in (getattr(inner, 'slots', None) or {}).items()
        if name not in getattr(inner, 'resting', ())
    ]
