"""The model of a runner, without the wrapper that several processes need."""

from mmengine.model import is_model_wrapper
from torch import nn


def bare_model(runner) -> nn.Module:
    """Return ``runner.model``, or the module inside it if it is wrapped (DDP)."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def ignored_preprocessor(runner) -> str:
    """Say that ``data_preprocessor`` of the config has no effect; '' if it has.

    mmengine takes it only where the model brings none of its own, as two of mmpretrain's bases do.
    """
    wanted = runner.cfg.get('data_preprocessor') or {}
    found = getattr(bare_model(runner), 'data_preprocessor', None)
    kind = wanted.get('type')
    kind = str(getattr(kind, '__name__', kind)).rpartition('.')[2]
    if found is None or 'type' not in wanted or kind == type(found).__name__:
        return ''
    return (
        f'data_preprocessor ({kind}) has no effect: model.data_preprocessor of the base '
        f'({type(found).__name__}) stands before it; write it as '
        'model = dict(data_preprocessor=dict(_delete_=True, ...))'
    )
