"""What can be known of a run before it starts: one step, on everything it is built from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.optim import OptimWrapper

from mmlt.checkpoint import TRAINING_ONLY, CheckpointError, check_weights
from mmlt.datasets.labels import read_labels
from mmlt.engine.bare_model import bare_model, slots_of
from mmlt.engine.hooks import ClassCountsCheckHook, ClassNamesCheckHook, StrictLoadHook
from mmlt.engine.hooks.class_names_check_hook import compare_class_vectors, names_of
from mmlt.engine.without_effect import doubts, faults


@dataclass
class Finding:
    """A line of the report.

    Example:
        >>> print(Finding('ok', 'data', '38 images'))
        ok     data: 38 images
    """

    kind: str
    topic: str
    text: str

    def __str__(self):
        return f'{self.kind:6} {self.topic}: {self.text}'


def check_runner(runner, checkpoint: str | None = None) -> Iterator[Finding]:
    """Check what a runner is made of; the model takes one step, so train with another runner.

    Args:
        runner (Runner): as built from a config.
        checkpoint (str, optional): must fit the model, and have been trained on these classes.

    Yields:
        Finding: of kind 'ok', 'note' or 'FAULT'. After a fault that makes the rest senseless no
        more comes.

    Raises:
        Whatever a part raises when it is built or called; the message says what to change.
    """
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    if runner._val_loop is not None:
        runner._val_loop = runner.build_val_loop(runner._val_loop)
    dataset = runner.train_dataloader.dataset
    labels = read_labels(dataset)
    counts = np.bincount(labels)
    size = runner.train_dataloader.batch_size or 0
    yield Finding(
        'ok',
        'data',
        f'{len(labels)} training images of {np.count_nonzero(counts)} classes, '
        f'{counts.max()} to {counts[counts > 0].min()} a class',
    )
    for fault in faults(runner):
        yield Finding('FAULT', 'config', fault)
        return
    for doubt in doubts(runner):
        yield Finding('note', 'config', doubt)
    ClassCountsCheckHook().before_train(runner)
    ClassNamesCheckHook().before_train(runner)
    tested = runner.build_dataloader(runner._test_dataloader) if runner._test_dataloader else None
    if tested is not None:
        ClassNamesCheckHook().compare_datasets(dataset, tested.dataset, 'test')
        yield _names(runner, dataset, tested.dataset)
        shown = len(tested.dataset) // max(1, len(counts))
        if shown < 5:
            yield Finding('note', 'test', f'about {shown} images a class: a class moves by steps')
    yield from _slots(bare_model(runner))
    yield from _rate(runner, size)
    if checkpoint:
        yield _fits(runner, checkpoint, dataset)
    yield from _step(runner, size)
    if tested is not None:
        yield _predicts(runner, tested)


def _names(runner, training, tested) -> Finding:
    sets = dict(training=training, test=tested)
    if runner.val_loop is not None:
        sets['validation'] = runner.val_loop.dataloader.dataset
    if silent := [name for name, dataset in sets.items() if names_of(dataset) is None]:
        return Finding('note', 'names', f'not compared: the {silent[0]} set tells none')
    return Finding('ok', 'names', f'the same in the {", ".join(sets)} set')


def _slots(model) -> Iterator[Finding]:
    head = model.head
    if not hasattr(head, 'slots'):
        yield Finding('ok', 'head', f'{type(head).__name__}, no slots of mmlt')
        return
    for name, slot in slots_of(model):
        criterion = getattr(slot, 'criterion', slot)
        text = f'{type(slot).__name__} with {type(criterion).__name__}'
        margin = getattr(slot, 'margin', None)
        yield Finding('ok', 'slot', f'{name}: {text}' + (
            f' and {type(margin).__name__}' if margin is not None else ''))  # fmt: skip
    if head.class_counts is None:
        yield Finding('note', 'slot', 'the head has no class_counts, so nothing is re-balanced')


def _rate(runner, size: int) -> Iterator[Finding]:
    optimizer = runner.cfg.optim_wrapper.optimizer
    rate, steps = optimizer.get('lr'), len(runner.train_dataloader)
    yield Finding('ok', 'rate', f'{optimizer.type} {rate} at {size} images a step, {steps} steps')
    base = (runner.cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    if base and size and not 0.5 <= size / base <= 2:
        yield Finding(
            'note',
            'rate',
            f'it was chosen for {base} images a step, here are {size}: scale it '
            f'(optim_wrapper.optimizer.lr={rate * size / base:g}), or train with --auto-scale-lr',
        )
    adam = 'Adam' in str(optimizer.type)
    high = 1e-3 if adam else 0.06
    if rate and size and rate * 32 / size > high * 1.01:
        yield Finding('note', 'rate', f'high for few images: try {high * size / 32 / 3:g} too')
    total = runner._train_loop.max_iters
    if total < 500:
        yield Finding('note', 'rate', f'{total} steps in all are few: more epochs will help')


def _fits(runner, checkpoint: str, dataset) -> Finding:
    from mmengine.runner.checkpoint import CheckpointLoader

    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    hooks = [hook for hook in runner.hooks if isinstance(hook, StrictLoadHook)]
    unexpected = hooks[0].unexpected if hooks else ()
    name = f'checkpoint {checkpoint}'
    try:
        check_weights(runner.model, loaded, name, missing=TRAINING_ONLY, unexpected=unexpected)
        ClassNamesCheckHook.compare_checkpoint(loaded, dataset, name)
    except (CheckpointError, ValueError) as error:
        return Finding('FAULT', 'checkpoint', str(error))
    epoch = (loaded.get('meta') or {}).get('epoch')
    return Finding('ok', 'checkpoint', f'it fits, epoch {epoch}')


def _step(runner, size: int) -> Iterator[Finding]:
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    wrapper: OptimWrapper = runner.optim_wrapper
    runner._init_model_weights() if not runner._load_from else None
    model = runner.model
    compare_class_vectors(model, names_of(runner.train_dataloader.dataset))
    model.train()
    data = model.data_preprocessor(next(iter(runner.train_dataloader)), training=True)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    held = []
    handles = [part.register_forward_hook(lambda _, __, out: held.append(_bytes(out)))
               for part in model.modules() if not list(part.children())]  # fmt: skip
    with wrapper.optim_context(model):
        losses = model(**data, mode='loss')
        total, parts = model.parse_losses(losses)
    for handle in handles:
        handle.remove()
    if not math.isfinite(total.item()):
        yield Finding('FAULT', 'step', f'the loss is {total.item()}: {_listed(parts)}')
        return
    total.backward()
    stuck = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    yield Finding('ok', 'step', f'one batch forward and backward: {_listed(parts)}')
    if stuck:
        yield Finding('note', 'step', f'{len(stuck)} parameters get no gradient, first {stuck[0]}')
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    if torch.cuda.is_available():
        peak, how = torch.cuda.max_memory_allocated(), 'measured on the GPU'
    else:
        # Weights, gradients, two of the optimizer; every layer's output once.
        peak, how = 4 * weights + sum(held), 'estimated from the layers'
    yield Finding('ok', 'memory', f'about {peak / 2**20:.0f} MiB at {size} images a step, {how}')


@torch.no_grad()
def _predicts(runner, loader) -> Finding:
    runner.model.eval()
    images = runner.model.test_step(next(iter(loader)))
    return Finding(
        'ok', 'test', f'{len(loader.dataset)} test images, a batch of {len(images)} runs'
    )


def _bytes(out) -> int:
    if isinstance(out, torch.Tensor):
        return out.numel() * out.element_size()
    return sum(map(_bytes, out)) if isinstance(out, tuple | list) else 0


def _listed(parts) -> str:
    return ', '.join(f'{name} {value:.3f}' for name, value in parts.items() if 'loss' in name)
