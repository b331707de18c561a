"""What changes once in a run, at the start of some epoch."""

import logging
from abc import ABC, abstractmethod

from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop


class EpochSwitchHook(Hook, ABC):
    """Base of the hooks that switch at an epoch: check first, switch once, also after a resume.

    A subclass checks everything that it can in :meth:`check`, before the first iteration: an error
    in epoch 160 would cost 160 epochs.

    Args:
        begin_epoch (int): Epoch, from 0, before which the switch is made.

    Raises:
        ValueError: ``begin_epoch`` is negative, or the run counts iterations, not epochs.
    """

    def __init__(self, begin_epoch: int):
        if begin_epoch < 0:
            raise ValueError(f'begin_epoch must be >= 0, got {begin_epoch}')
        self.begin_epoch = begin_epoch
        self.switched = False

    @abstractmethod
    def check(self, runner) -> None:
        """Refuse what could not work later."""

    @abstractmethod
    def switch(self, runner, first: bool) -> None:
        """Make the switch; ``first`` is False in a run that was resumed behind it."""

    def before_train(self, runner) -> None:
        """Refuse a loop without epochs; let the subclass check the rest."""
        name, loop = type(self).__name__, runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop):
            raise ValueError(
                f'{name} acts from epoch {self.begin_epoch} on, but the run counts iterations '
                f'({type(loop).__name__}), in which no epoch ever begins: use '
                'train_cfg=dict(by_epoch=True, max_epochs=...)'
            )
        if self.begin_epoch >= loop.max_epochs:
            print_log(
                f'{name} would act from epoch {self.begin_epoch + 1} on, but the run ends with '
                f'epoch {loop.max_epochs}: it does nothing',
                logger='current',
                level=logging.WARNING,
            )
        if not self.switched:
            self.check(runner)

    def before_train_epoch(self, runner) -> None:
        """Switch, once."""
        if self.switched or runner.epoch < self.begin_epoch:
            return
        self.switched = True
        self.switch(runner, first=runner.epoch == self.begin_epoch)


def refuse_average(runner, name: str) -> None:
    """Refuse an ``EMAHook`` beside a hook that changes weights itself.

    Raises:
        ValueError: There is one: the average, which is validated and saved, would not be changed.
    """
    if any(isinstance(hook, EMAHook) for hook in runner.hooks):
        raise ValueError(
            f'{name} changes the weights of the model, but with an EMAHook it is their average '
            'that is validated and saved, which would not be changed: remove that hook'
        )


def averaged_models(runner) -> list:
    """The models that the ``EMAHook`` of a run holds: what is switched in one is in the other.

    An average goes through its buffers and those of the model side by side, so one that a switch
    adds to the model alone would be paired with another.
    """
    hooks = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    return [hook.ema_model.module for hook in hooks if hasattr(hook, 'ema_model')]
