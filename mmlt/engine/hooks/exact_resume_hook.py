"""A resumed run takes the very steps and validations that the unbroken one would have taken."""

import logging
import random

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmengine.runner.base_loop import BaseLoop
from mmpretrain.registry import HOOKS

from mmlt.checkpoint import CheckpointError
from mmlt.engine.bare_model import bare_model
from mmlt.engine.resumed_settings import differences, other_kinds, settings_of

# [epoch, iteration], in the message hub. A name that began like 'val' would stand in each log line.
VALIDATED = 'last_validation'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Keep in a checkpoint what mmengine's lacks, and go on from there.

    - Gradients that are accumulated and not yet applied (``accumulative_counts`` that does not
      divide the iterations of an epoch). Of several processes only the first one's are kept, and
      the log says so.
    - The place in the epoch, of a checkpoint that :class:`StopSignalHook` wrote: the batches
      before it are drawn and passed over, and weights, optimizer and random numbers are set once
      more at the first one that is trained.
    - The validation that was due when the checkpoint was written: it is made before training goes
      on. It has its place in the curves, may give the best checkpoint, and a run that was killed in
      its last validation gets its last numbers.

    The settings of the run are compared with those in the checkpoint: a part of the model that has
    another type is refused, other differences are a warning, as the optimizer and the schedules go
    on as they were.

    Raises:
        CheckpointError: The checkpoint is of a run whose model has other types.

    Example:
        ``default_hooks = dict(exact_resume=dict(type='ExactResumeHook'))``
    """

    # After the hooks that change weights or seeds at the start of an epoch.
    priority = 'LOWEST'

    def __init__(self):
        self._resumed = None

    def before_val_epoch(self, runner) -> None:
        """Note a validation; whatever is saved from now on is saved after it."""
        if _of_a_training(runner):
            runner.message_hub.update_info(VALIDATED, [runner.epoch, runner.iter])

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the gradients of an open accumulation."""
        wrapper = runner.optim_wrapper
        counts = getattr(wrapper, '_accumulative_counts', 1)
        if 'optimizer' not in checkpoint or counts == 1 or wrapper._inner_count % counts == 0:
            return
        if get_world_size() > 1:
            print_log(
                f'{wrapper._inner_count % counts} of {counts} accumulated gradients are open: '
                'only those of the first process are in the checkpoint, a resumed run differs',
                logger='current',
                level=logging.WARNING,
            )
        checkpoint['gradients'] = {
            name: parameter.grad.detach().cpu()
            for name, parameter in bare_model(runner).named_parameters()
            if parameter.grad is not None
        }

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep what a resumed run needs later."""
        if not (runner._resume and _of_a_training(runner)):
            return
        kept = {'gradients': checkpoint.get('gradients')}
        meta = checkpoint.get('meta', {})
        _compare_settings(meta.get('cfg'), runner.cfg)
        if meta.get('batch'):
            names = ('state_dict', 'optimizer')
            kept |= {name: checkpoint[name] for name in names} | dict(meta=meta)
        self._resumed = kept

    def before_train(self, runner) -> None:
        """Put the gradients back; validate what was to be validated."""
        if not self._resumed:
            return
        if self._resumed['gradients']:
            _set_gradients(bare_model(runner), self._resumed['gradients'])
        if 'meta' not in self._resumed and _lacks_validation(runner):
            print_log(
                f'the checkpoint was written before the validation of epoch {runner.epoch}, '
                f'iteration {runner.iter}: it is made first',
                logger='current',
            )
            runner.val_loop.run()

    def before_train_epoch(self, runner) -> None:
        """In the first epoch after a stop inside it, begin at the batch where it stopped."""
        kept, self._resumed = self._resumed, None
        loop = runner.train_loop
        if not kept or 'meta' not in kept or not isinstance(loop, EpochBasedTrainLoop):
            return
        first, run_iter = kept['meta']['batch'], loop.run_iter
        print_log(f'passing over {first} batches that have been trained', logger='current')

        def skipping(idx, data_batch):
            if idx == first - 1:
                # Before the next batch is fetched: without workers this process draws for it.
                set_random_states(_own_state(kept['meta']) or random_states())
            if idx >= first:
                del loop.run_iter
                _set_state(runner, kept)
                run_iter(idx, data_batch)

        loop.run_iter = skipping


def _compare_settings(text: str | None, cfg) -> None:
    """Refuse the run of another method; tell other differences."""
    # Through the same text: tuples are lists there, numbers are rounded alike.
    before, now = settings_of(text), settings_of(cfg.pretty_text)
    shared = before.keys() & now.keys()
    found = list(differences({k: before[k] for k in shared}, {k: now[k] for k in shared}))
    if not found:
        return
    if other := other_kinds(found):
        raise CheckpointError(
            f'the checkpoint is of a run of another model: {_told(other[:3])}; begin in another '
            '--work-dir, or go on from its weights with --cfg-options load_from=CHECKPOINT in the '
            'place of --resume'
        )
    more = f' and {len(found) - 5} more' if len(found) > 5 else ''
    print_log(
        f'resumed with other settings than those of the checkpoint: {_told(found[:5])}{more}. '
        'Rates, momentum, weight decay and schedules go on as the checkpoint has them; what else '
        'differs is in force from here on',
        logger='current',
        level=logging.WARNING,
    )


def _told(found) -> str:
    return ', '.join(f'{key} ({a!r} there, {b!r} here)' for key, a, b in found)


def epoch_size(runner) -> dict:
    """Batches of an epoch and images of a batch, over all processes: what a place in it is of."""
    loader = runner.train_dataloader
    size = getattr(loader, 'batch_size', None)
    return dict(batches=len(loader), batch_images=size and size * get_world_size())


def _of_a_training(runner) -> bool:
    return isinstance(runner._train_loop, BaseLoop)


def _lacks_validation(runner) -> bool:
    """Whether mmengine's loops would have validated at this place, and did not."""
    loop = runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    if runner.val_loop is None or not (by_epoch or isinstance(loop, IterBasedTrainLoop)):
        return False
    loop._decide_current_val_interval()
    now, end = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    due = now >= max(1, loop.val_begin) and (now % loop.val_interval == 0 or now == end)
    done = runner.message_hub.get_info(VALIDATED, None) == [runner.epoch, runner.iter]
    return due and not done


def _set_state(runner, kept: dict) -> None:
    model = bare_model(runner)
    model.load_state_dict(kept['state_dict'])
    own = (_own_state(kept['meta']) or {}).get('buffers', {})
    for name, buffer in model.named_buffers():
        if name in own:
            buffer.copy_(own[name])
    runner.optim_wrapper.load_state_dict(kept['optimizer'])
    if kept['gradients']:
        _set_gradients(model, kept['gradients'])


def _own_state(meta: dict) -> dict | None:
    states = meta.get('process_states')
    known = isinstance(states, list) and len(states) == get_world_size()
    return states[get_rank()] if known else None


def _set_gradients(model, gradients: dict) -> None:
    for name, parameter in model.named_parameters():
        gradient = gradients.get(name)
        if gradient is not None:
            parameter.grad = gradient.to(parameter.device, parameter.dtype, copy=True)


def process_state(model) -> dict:
    """What each process has of its own inside an epoch: random numbers, BatchNorm's statistics."""
    state = random_states()
    if get_world_size() > 1:
        state['buffers'] = {name: value.cpu().clone() for name, value in model.named_buffers()}
    return state


def random_states() -> dict:
    """States of the generators of Python, NumPy and torch, as a checkpoint can hold them.

    Example:
        >>> states = random_states()
        >>> first = random.random()
        >>> set_random_states(states)
        >>> random.random() == first
        True
    """
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        'python': [version, list(numbers), gauss],
        'numpy': [kind, keys.tolist(), position, has_gauss, cached],
        'torch': torch.get_rng_state(),
        'cuda': [state.cpu() for state in torch.cuda.get_rng_state_all()],
    }


def set_random_states(states: dict) -> None:
    """Set what :func:`random_states` returned."""
    version, numbers, gauss = states['python']
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, position, has_gauss, cached = states['numpy']
    np.random.set_state((kind, np.array(keys, np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states['torch'].cpu())
    if torch.cuda.is_available() and len(states['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states['cuda']])
