"""Refuse a checkpoint that does not fit, instead of going on with half of it."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.base_loop import BaseLoop
from mmpretrain.registry import HOOKS

from mmlt.checkpoint import TRAINING_ONLY, CheckpointError, check_weights
from mmlt.engine.hooks.exact_resume_hook import epoch_size


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Check what a Runner loads: all weights fit, and a resumed run has all that it needs.

    mmengine loads loosely: it warns and goes on. Here ``load_from``, resume and test are strict.
    A resumed run needs weights, optimizer, parameter schedulers, message hub and meta, and an
    epoch that lies in the run. Weights that are NaN are refused by name.

    A second stage may begin from a checkpoint that lacks something, or has more: say so. A test
    does without what only training uses (projectors, banks). What was allowed is one line of log.

    Args:
        missing (Sequence[str]): Patterns of entries that a ``load_from`` of training may lack,
            such as ``['head.classifier.scale']``. Defaults to ``()``.
        unexpected (Sequence[str]): Patterns of entries that the model has no place for, in
            training's ``load_from`` and in tests. Defaults to ``()``.

    Raises:
        CheckpointError: In one line, with what is missing, unexpected or of another shape.

    Example:
        ``default_hooks = dict(strict_load=dict(type='StrictLoadHook', missing=['head.fc.*']))``
    """

    # Before EMAHook, which changes and loads the weights.
    priority = 'VERY_HIGH'

    def __init__(self, missing: Sequence[str] = (), unexpected: Sequence[str] = ()):
        for name, patterns in (('missing', missing), ('unexpected', unexpected)):
            if isinstance(patterns, str):
                raise TypeError(f'{name} must be a list of patterns, got {patterns!r}')
        self.missing, self.unexpected = tuple(missing), tuple(unexpected)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check it, before anything takes it over."""
        name = f'checkpoint {runner._load_from or "of the work dir"}'
        training = isinstance(runner._train_loop, BaseLoop)
        if training and runner._resume:
            check_resumable(runner, checkpoint, name)
            patterns = {}
        elif training:
            patterns = dict(missing=self.missing, unexpected=self.unexpected)
        else:
            patterns = dict(missing=TRAINING_ONLY, unexpected=self.unexpected)
        allowed = check_weights(runner.model, checkpoint, name, **patterns)
        if allowed:
            print_log(f'{name}: allowed to differ: {", ".join(allowed)}', logger='current')


def check_resumable(runner, checkpoint: dict, name: str) -> None:
    """Refuse a checkpoint that a run cannot go on from.

    Raises:
        CheckpointError: It has not all that is needed, or was made at no point of this run.
    """
    wanted = {'state_dict': dict, 'optimizer': dict, 'message_hub': dict, 'meta': dict}
    if runner.param_schedulers is not None:
        wanted['param_schedulers'] = list | dict
    lacks = [key for key, kind in wanted.items() if not isinstance(checkpoint.get(key), kind)]
    if lacks:
        raise CheckpointError(
            f'{name} cannot be resumed, it has no {", ".join(lacks)}: it is a best or published '
            'checkpoint, or weights alone; begin a new run from it with load_from'
        )
    schedulers = checkpoint.get('param_schedulers')
    if isinstance(schedulers, list) and len(schedulers) != len(runner.param_schedulers):
        wanted = len(runner.param_schedulers)
        raise CheckpointError(f'{name} has {len(schedulers)} param_schedulers, the config {wanted}')
    loop, meta = runner.train_loop, checkpoint['meta']
    by_iter = isinstance(loop, IterBasedTrainLoop)
    last = {'iter': loop.max_iters} if by_iter else {'epoch': loop.max_epochs}
    for unit in ('epoch', 'iter', 'batch'):
        value, end = meta.get(unit, 0 if unit == 'batch' else None), last.get(unit, float('inf'))
        if type(value) is not int or not 0 <= value <= end:
            until = '' if unit not in last else f' and <= {end}, where this run ends'
            raise CheckpointError(
                f'{name} cannot be resumed: meta.{unit} must be an integer >= 0{until}, '
                f'got {value!r}'
            )
    if batch := meta.get('batch'):
        now = epoch_size(runner)
        then = {key: meta.get(key, value) for key, value in now.items()}
        if then != now or batch >= now['batches']:
            raise CheckpointError(
                f'{name} cannot be resumed: it was saved after batch {batch} of an epoch of '
                f'{then["batches"]} batches of {then["batch_images"]} images, this run has '
                f'{now["batches"]} of {now["batch_images"]}: set batch_size and the number of '
                'processes as they were, or go on from the end of an epoch, --resume epoch_N.pth'
            )
    if type(meta.get('seed', 0)) not in (int, type(None)):
        raise CheckpointError(f'{name}: meta.seed must be an integer, got {meta["seed"]!r}')
