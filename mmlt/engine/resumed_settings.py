"""The settings of a resumed run against those that its checkpoint was written with."""

from collections.abc import Iterator, Mapping, Sequence

from mmlt.config_file import type_name, values_in_text

COMPARED = (
    'model',
    'data_preprocessor',
    'optim_wrapper',
    'param_scheduler',
    'train_dataloader',
    'randomness',
)
# How fast, or from where, not what.
_IGNORED = {
    'num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor', 'data_root',
    'checkpoint', 'init_cfg', 'deterministic', 'diff_rank_seed', 'max_mib', '_scope_',
}  # fmt: skip
_SAME = {'LoadImageOnce': 'LoadImageFromFile'}  # of --in-memory


def settings_of(text: str | None) -> dict:
    """What is compared of the text of a config, as a checkpoint keeps it.

    Example:
        >>> settings_of('a = 1\\nmodel = dict(type=\'X\', scale=3.0)')
        {'model': {'type': 'X', 'scale': 3.0}}
    """
    return values_in_text(text, COMPARED)


def differences(before, now, place: str = '') -> Iterator[tuple[str, object, object]]:
    """Dotted key, value of the checkpoint and value of now, where they differ.

    Example:
        >>> before = dict(optim_wrapper=dict(optimizer=dict(lr=0.1)))
        >>> list(differences(before, dict(optim_wrapper=dict(optimizer=dict(lr=0.5)))))
        [('optim_wrapper.optimizer.lr', 0.1, 0.5)]
    """
    pairs = _pairs(before, now)
    if pairs is None:
        if before != now and not (place.endswith('.type.') and _kind(before) == _kind(now)):
            yield place.rstrip('.'), before, now
        return
    for key, a, b in pairs:
        if key not in _IGNORED:
            yield from differences(a, b, f'{place}{key}.')


def other_kinds(found) -> list[tuple[str, object, object]]:
    """Those of the differences that make another model: a part that has another ``type``.

    A type that is not given on one side may be the default; images, and what is shown of them to
    companions, are no part of the model.

    Example:
        >>> other_kinds([('model.head.type', 'BCLHead', 'DBMHead'), ('model.head.scale', 1, 2)])
        [('model.head.type', 'BCLHead', 'DBMHead')]
    """
    beside = ('model.train_cfg.', 'model.data_preprocessor.', 'model.companions.')
    return [
        (key, a, b)
        for key, a, b in found
        if key.startswith('model.') and key.endswith('.type') and not key.startswith(beside)
        and a is not None and b is not None
    ]  # fmt: skip


def _kind(value) -> str:
    name = type_name(str(value))
    return _SAME.get(name, name)


def _pairs(before, now):
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*before, *now])
        return [(key, before.get(key), now.get(key)) for key in keys]
    if _listed(before) and _listed(now) and len(before) == len(now):
        return [(str(i), a, b) for i, (a, b) in enumerate(zip(before, now))]
    return None


def _listed(value) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
