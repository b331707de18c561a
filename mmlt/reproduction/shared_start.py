"""Rows that train alike until the class weights of one of them begin: that part is trained once."""

from mmengine.config import Config

_HOOK = 'DeferredReweightingHook'


def shared_epochs(config: Config, base: Config) -> int:
    """Epochs in which two configs take the very same steps, because one of them is the other + DRW.

    Args:
        config (Config): It has a ``DeferredReweightingHook`` in ``default_hooks``.
        base (Config): The same without that hook.

    Raises:
        ValueError: They differ in anything else.
    """
    ours, theirs = config.to_dict(), base.to_dict()
    begins = [_pop_begin(settings) for settings in (ours, theirs)]
    differ = sorted(k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k))
    if begins[0] is None or begins[1] is not None or differ:
        raise ValueError(
            f'to begin as another row, a row must be that row with a {_HOOK} in default_hooks; '
            f'they have one that begins at {begins[0]} and {begins[1]}, and differ in {differ}'
        )
    return begins[0]


def _pop_begin(settings: dict) -> int | None:
    hooks = settings.get('default_hooks', {})
    for name, hook in list(hooks.items()):
        if isinstance(hook, dict) and str(hook.get('type')).split('.')[-1] == _HOOK:
            return hooks.pop(name)['begin_epoch']
    return None


def keep_checkpoint(config: Config, epoch: int, folder: str) -> None:
    """Let a run keep the checkpoint of an epoch, in ``folder/<name of its work dir>``."""
    keep = dict(type='SafeCheckpointHook', interval=epoch, save_last=False, out_dir=folder)
    config.custom_hooks = [*config.get('custom_hooks', []), keep]
