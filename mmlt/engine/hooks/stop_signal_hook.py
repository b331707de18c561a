"""A run that is asked to stop finishes its step, saves, and says how to go on."""

import os
import signal
import threading

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import HOOKS

from mmlt.engine.bare_model import bare_model
from mmlt.engine.hooks.exact_resume_hook import epoch_size, process_state
from mmlt.engine.work_dir import INTERRUPTED
from mmlt.files import write_whole
from mmlt.processes import end_forks_with_this

SIGNALS = tuple(
    getattr(signal, name) for name in ('SIGTERM', 'SIGINT', 'SIGHUP') if hasattr(signal, name)
)
# Several processes must stop in the same step; they agree every so many.
AGREE_EVERY = 10


class Stopped(SystemExit):
    """A run was stopped by a signal, in order; the exit status is the shell's, 128 + signal."""

    def __init__(self, signum: int):
        super().__init__(128 + signum)
        self.signum = signum


@HOOKS.register_module()
class StopSignalHook(Hook):
    """On SIGTERM, SIGINT or SIGHUP: finish the step, save a checkpoint, say how to resume.

    Schedulers send SIGTERM before they kill, Ctrl-C sends SIGINT. The checkpoint
    ``interrupted_*.pth`` holds the place in the epoch, and :class:`ExactResumeHook` goes on from
    there. A second signal ends the process at once. During a validation the run stops at once if
    the epoch's checkpoint is written, else after the validation. Several processes agree every 10
    iterations; the checkpoint of a run on several machines needs a signal to one of them.

    Data workers are killed by the system when the run's process ends, however it ends (Linux;
    elsewhere they notice within 5 seconds).

    Raises:
        Stopped: A SystemExit with status 128 + signal; mmlt's tools then end by the signal itself.

    Example:
        ``default_hooks = dict(stop_signal=dict(type='StopSignalHook'))``
    """

    # After all others: what an iteration or an epoch changes is in the checkpoint.
    priority = 'LOWEST'

    def __init__(self):
        self.signum = 0
        self._before = {}
        self._loop = None

    def before_train(self, runner) -> None:
        """Listen to the signals from now on."""
        end_forks_with_this()
        if threading.current_thread() is threading.main_thread():
            self.signum, self._loop = 0, runner.train_loop
            self._before = {signum: signal.signal(signum, self._note) for signum in SIGNALS}

    def after_train(self, runner) -> None:
        """Listen no more."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}

    def _note(self, signum, frame) -> None:
        # A forked data worker has this handler too: it works on while the step is finished.
        active = _runs(self._loop, frame)
        if self.signum or not active:  # asked twice, or an error has ended the training before
            signal.signal(signum, signal.SIG_DFL if active else self._before[signum])
            os.kill(os.getpid(), signum)
        self.signum = signum

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Stop inside an epoch; its last step is left to the end of the epoch."""
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if by_epoch and batch_idx + 1 >= len(runner.train_dataloader):
            return
        signum = self._agreed(runner.iter)
        if signum:
            place = dict(epoch=runner.epoch, iter=runner.iter + 1)
            if by_epoch:
                place |= {'batch': batch_idx + 1, **epoch_size(runner)}
            self._stop(runner, signum, place)

    def after_train_epoch(self, runner) -> None:
        """Stop after the last step of an epoch."""
        signum = isinstance(runner.train_loop, EpochBasedTrainLoop) and self._agreed(0)
        if signum:
            self._stop(runner, signum, dict(epoch=runner.epoch + 1, iter=runner.iter))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Stop inside a validation if all that was trained is saved."""
        if self._saved(runner, runner.epoch) and runner.train_loop is not None:
            signum = self._agreed(batch_idx)
            if signum:
                self._stop(runner, signum, None)

    def after_val_epoch(self, runner, metrics=None) -> None:
        """Stop after a validation."""
        signum = self._agreed(0)
        if signum:
            place = dict(epoch=runner.epoch, iter=runner.iter)
            self._stop(runner, signum, None if self._saved(runner, runner.epoch) else place)

    def _agreed(self, step: int) -> int:
        """The signal that any process got, at the steps at which all of them ask."""
        if get_world_size() == 1:
            return self.signum
        if step % AGREE_EVERY:
            return 0
        device = 'cuda' if torch.distributed.get_backend() == 'nccl' else 'cpu'
        signum = torch.tensor(self.signum, device=device)
        all_reduce(signum, 'max')
        return int(signum)

    def _saved(self, runner, epoch: int) -> bool:
        hook = _checkpoint_hook(runner)
        last = getattr(hook, 'last_ckpt', None)
        return bool(last) and hook.by_epoch and last.endswith(hook.filename_tmpl.format(epoch))

    def _stop(self, runner, signum: int, place: dict | None) -> None:
        path = runner.message_hub.get_info('last_ckpt', None) if place is None else None
        if place is not None and self._saved(runner, place['epoch']) and 'batch' not in place:
            path = _checkpoint_hook(runner).last_ckpt
        elif place is not None:
            states = all_gather_object(process_state(bare_model(runner)))
            path = self._save(runner, place | dict(process_states=states))
        self.after_train(runner)
        print_log(
            f'Stopped by {signal.Signals(signum).name} {_where(runner, place)}; saved: {path}. To '
            'go on: the same command with --resume',
            logger='current',
        )
        raise Stopped(signum)

    def _save(self, runner, meta: dict) -> str:
        hook = _checkpoint_hook(runner)
        out_dir = hook.out_dir if hook is not None else runner.work_dir
        backend = {} if hook is None else dict(backend_args=hook.backend_args)
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        unit = f'epoch_{meta["epoch"]}_' if by_epoch else ''
        name = f'{INTERRUPTED}{unit}iter_{meta["iter"]}.pth'
        runner.save_checkpoint(out_dir, name, meta=meta, by_epoch=False, **backend)
        path = os.path.join(out_dir, name)
        if is_main_process():
            write_whole(os.path.join(runner.work_dir, 'last_checkpoint'), path)
        return path


def _where(runner, place: dict | None) -> str:
    place = place or dict(epoch=runner.epoch, iter=runner.iter)
    if not isinstance(runner.train_loop, EpochBasedTrainLoop):
        return f'after iteration {place["iter"]}'
    if 'batch' in place:
        return f'in epoch {place["epoch"] + 1}, iteration {place["iter"]}'
    return f'after epoch {place["epoch"]}'


def _runs(loop, frame) -> bool:
    while frame is not None:
        if frame.f_code.co_name == 'run' and frame.f_locals.get('self') is loop:
            return True
        frame = frame.f_back
    return False


def _checkpoint_hook(runner):
    return next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
