"""A slot that does nothing says so, once, with what may help."""

import logging

import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmpretrain.registry import HOOKS

from mmlt.engine.bare_model import bare_model, slots_of
from mmlt.engine.without_effect import doubts, faults
from mmlt.models.slots import MomentumQueue


@HOOKS.register_module()
class IdleSlotHook(Hook):
    """Warn after the first epochs of slots that train nothing, or whose projections collapsed.

    Looked at: losses that were 0 all through the last epoch, margins that were never applied,
    memory banks that lack classes, and projections that are all the same, those in a bank or a
    queue or those of a batch (mean pairwise cosine above ``collapse``): the contrast loss is at its
    ceiling then, and stays there. The slots of experts are looked at one by one, their losses as
    the sum that is trained. Before the first step: a slot that contrasts the images of a batch with
    each other, under gradient accumulation.

    Args:
        epochs (int): When to look, >= 1; at the end of a shorter run. Defaults to 3: the first
            epoch only fills a bank. Looks again after twice, four times, ... as many.
        collapse (float): In (0, 1]. Defaults to 0.99.

    Raises:
        ValueError: An argument outside its range; before training: a run without an epoch, a
            training set without a batch, a ``data_preprocessor`` that the model does not take,
            several experts under a head of one, a tuner under activation checkpointing.

    Example:
        ``default_hooks = dict(idle_slot=dict(type='IdleSlotHook'))``
    """

    def __init__(self, epochs: int = 3, collapse: float = 0.99):
        if epochs < 1:
            raise ValueError(f'epochs must be >= 1, got {epochs}')
        if not 0 < collapse <= 1:
            raise ValueError(f'collapse must be in (0, 1], got {collapse}')
        self.epochs, self.collapse = epochs, collapse
        self._applied, self._projections, self._handles = set(), {}, []

    def before_train(self, runner) -> None:
        """Refuse what would train nothing; watch margins and projectors."""
        if fault := next(faults(runner), ''):
            raise ValueError(fault)
        for text in doubts(runner):
            print_log(f'{text} (IdleSlotHook)', 'current', logging.WARNING)
        if runner.max_iters < 1:
            raise ValueError('train_cfg trains nothing: max_epochs or max_iters must be >= 1')
        self._length = len(runner.train_dataloader)
        self._when = min(self.epochs * self._length, runner.max_iters)
        while self._when <= runner.iter:  # of a resumed run
            self._when *= 2
        self._told = set()
        self._applied, self._projections, self._handles = set(), {}, []
        wrapper = getattr(runner, 'optim_wrapper', None)
        parts = getattr(wrapper, '_accumulative_counts', 1)
        for name, slot in slots_of(bare_model(runner)):
            if parts > 1 and getattr(slot, 'contrasts_batch', False):
                text = (
                    f'slot {name} contrasts the images of a batch with each other: gradients '
                    f'accumulated over {parts} batches are not those of a batch {parts} times as '
                    'large (IdleSlotHook)'
                )
                print_log(text, 'current', logging.WARNING)
            for part in ('margin', 'projector'):
                if isinstance(getattr(slot, part, None), torch.nn.Module):
                    note = self._noter(name, part)
                    self._handles.append(getattr(slot, part).register_forward_hook(note))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Look, and tell each slot once."""
        if runner.iter + 1 != self._when:
            return
        self._when *= 2
        for name, slot in slots_of(bare_model(runner)):
            found = self.faults(runner, name, slot) if name not in self._told else []
            for text in found:
                self._told.add(name)
                print_log(f'{text} (IdleSlotHook)', 'current', logging.WARNING)

    def after_train(self, runner) -> None:
        """Watch no longer."""
        for handle in self._handles:
            handle.remove()

    def faults(self, runner, name: str, slot) -> list[str]:
        """What is wrong with a slot; nothing, as a rule."""
        found = []
        if getattr(slot, 'margin', None) is not None and name not in self._applied:
            found.append(
                f'the margin of slot {name} was never applied: no batch had labels, only mixtures'
            )
        if isinstance(getattr(slot, 'bank', None), torch.Tensor):
            found += self._bank_faults(slot)
        elif isinstance(slot, MomentumQueue):
            found += self._collapse(slot.queue, 'the keys of the queue')
        elif name in self._projections:
            found += self._collapse(self._projections[name], 'projections of all images of a batch')
        first = not name.startswith('experts.') or name.startswith('experts.0.')
        name = name.split('.')[-1]
        history = runner.message_hub.log_scalars.get(f'train/loss_{name}') if first else None
        if history is not None and not found:
            losses = history.data[0][-self._length :]
            if len(losses) and not losses.any():
                found.append(
                    f'loss_{name} was 0 in the last {len(losses)} steps: it trains nothing'
                )
        return found

    @torch.no_grad()
    def _bank_faults(self, slot) -> list[str]:
        filled = slot.filled
        if not filled.all():
            return [
                f'the memory bank has seen {int(filled.sum())} of {len(filled)} classes: the '
                'others are no negatives; are they drawn, and is num_classes right?'
            ]
        if not slot.ready:
            return [
                f'the memory bank is still being filled ({int(slot.seen.sum())} of '
                f'{slot.fill_samples} images), so nothing is contrasted: train longer, or lower '
                'neck.fill_epochs'
            ]
        return self._collapse(slot.bank, 'the projections of all classes')

    @torch.no_grad()
    def _collapse(self, rows: torch.Tensor, what: str) -> list[str]:
        rows = F.normalize(rows.float(), dim=1)
        number = len(rows)
        mean = float((rows.sum(dim=0).square().sum() - number) / max(1, number * (number - 1)))
        if number > 1 and mean > self.collapse:
            return [
                f'{what} are the same (mean pairwise cosine {mean:.4f}): '
                'the contrast loss is at its ceiling and stays there; what may help is a lower '
                'rate (a third, a tenth) with a warm-up of some epochs or, where classes are many, '
                'a smaller loss_weight of this slot'
            ]
        return []

    def _noter(self, name: str, part: str):
        def note(module, inputs, output):
            if part == 'margin':
                self._applied.add(name)
            elif module.training:
                self._projections[name] = output.detach()

        return note
