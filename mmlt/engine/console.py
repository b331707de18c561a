"""A run's log on one screen of the console; all of it stays in the log file."""

import logging
import math
import os
import re
import time

from mmengine.hooks import LoggerHook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.registry import RUNNERS

LINES = 12  # of a training's progress
PAUSE = 60.0  # seconds: a run with slower steps than LINES has a line as often as this
_FILE_ALONE = (
    '-----', 'Config:', 'Hooks will be executed', 'Exp name:', 'Saving checkpoint',
    'Distributed training is not used', 'Checkpoints will be saved to',
    'Loads checkpoint by', '"FileClient" will be', '"HardDiskBackend" is', 'paramwise_options',
    'Name of parameter',
)  # fmt: skip
_PROGRESS = re.compile(r'(Epoch|Iter)\((train|val|test)\)\s*(?:\[\s*(\d+)\])?\[\s*(\d+)/(\d+)\]')


def build_runner(cfg, full_log: bool = False) -> Runner:
    """The runner of a config.

    Args:
        cfg (Config): of a run.
        full_log (bool): whether the console shows all that the log file has. Defaults to False; of
            a ``runner_type`` of the config's own it does.
    """
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return (Runner if full_log else ConsoleRunner).from_cfg(cfg)


class ConsoleRunner(Runner):
    """mmengine's Runner; the console shows what changes, the log file has everything."""

    def build_logger(self, *args, **kwargs):
        """Build it, and put the filter before the console."""
        logger = super().build_logger(*args, **kwargs)
        short = ConsoleFilter(self)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.addFilter(short)
            elif isinstance(handler, logging.FileHandler):
                path = os.path.relpath(handler.baseFilename)
                path = handler.baseFilename if path.startswith('..') else path
                logger.info('the console shows some lines, %s all of them', path)
        return logger


class ConsoleFilter(logging.Filter):
    """Drop what is the same in every run, and thin out lines of progress.

    Warnings and errors stay. Of a training about :data:`LINES` epochs are shown, the first and the
    last among them, and one line a minute where that is more; a validation with its epoch.

    Args:
        runner (Runner): tells how long the training is.
    """

    def __init__(self, runner: Runner):
        super().__init__()
        self.runner = runner
        self._last, self._shown = -math.inf, None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the console shows it."""
        text = record.getMessage().lstrip()
        found = _PROGRESS.match(text)
        if found:
            return self._due(*found.groups())
        return record.levelno > logging.WARNING or not text.startswith(_FILE_ALONE)

    def _due(self, unit, mode, epoch, step, steps) -> bool:
        now = time.monotonic()
        due = now - self._last >= PAUSE or self._in_step(unit, mode, epoch, step, steps)
        if due and mode == 'train':
            self._last, self._shown = now, epoch
        elif due:
            self._last = now
        return due

    def _in_step(self, unit, mode, epoch, step, steps) -> bool:
        loop = self.runner._train_loop
        if mode == 'train' and unit == 'Iter':
            every = max(1, int(steps) // LINES)
            return int(step) == int(steps) or int(step) % every < self._interval()
        if step != steps:
            return False
        if mode == 'test' or isinstance(loop, IterBasedTrainLoop | dict | None):
            return True
        every = math.ceil(loop.max_epochs / LINES)
        if mode == 'train':
            return int(epoch) in (1, loop.max_epochs) or int(epoch) % every == 0
        return loop.val_interval >= every or epoch == self._shown

    def _interval(self) -> int:
        loggers = (hook for hook in self.runner.hooks if isinstance(hook, LoggerHook))
        return next((hook.interval for hook in loggers), 1)
