"""The statistics of all processes averaged before they are validated, or saved."""

from mmengine.dist import all_reduce_params
from mmengine.hooks import CheckpointHook
from mmengine.hooks import SyncBuffersHook as MMEngineSyncBuffersHook
from mmpretrain.registry import HOOKS

from mmlt.engine.hooks.epoch_switch_hook import averaged_models


@HOOKS.register_module()
class SyncBuffersHook(MMEngineSyncBuffersHook):
    """mmengine's hook of this name, so that what is saved is what was validated.

    Every process keeps BatchNorm statistics of its own, and a checkpoint holds those of the first.
    mmengine averages the model's at the end of an epoch, and else before a validation. Here also:
    those in the copy of the model that an ``EMAHook`` keeps, which is what it saves; and, in a run
    that counts iterations, before a checkpoint, which is written ahead of the validation.

    Registered under the same name: configs of mmpretrain take it without a change. One process has
    nothing to average.

    Example:
        ``default_hooks = dict(sync_buffers=dict(type='SyncBuffersHook'))``
    """

    def before_val_epoch(self, runner) -> None:
        """Average, unless the end of the epoch has."""
        if self.distributed and not self.called_in_train:
            _average_copies(runner)
        super().before_val_epoch(runner)

    def after_train_epoch(self, runner) -> None:
        """Average."""
        super().after_train_epoch(runner)
        if self.distributed:
            _average_copies(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Average if a checkpoint of this iteration follows."""
        if self.distributed and any(_saves_now(runner, hook) for hook in runner.hooks):
            all_reduce_params(runner.model.buffers(), op='mean')
            _average_copies(runner)


def _saves_now(runner, hook) -> bool:
    if not isinstance(hook, CheckpointHook) or hook.by_epoch:
        return False
    last = hook.save_last and hook.is_last_train_iter(runner)
    return last or hook.every_n_train_iters(runner, hook.interval, hook.save_begin)


def _average_copies(runner) -> None:
    for model in averaged_models(runner):
        all_reduce_params(model.buffers(), op='mean')
