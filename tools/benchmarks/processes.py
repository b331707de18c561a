"""Two processes against one: time of a step at the same batch a process, and bytes exchanged.

    python tools/benchmarks/processes.py [--heads BCE3S BCL DBM-BS]

Weak scaling: ResNet-20 on 32 random images a process, DistributedDataParallel over gloo, one thread
a process. 1.00 would be no cost at all, on as many idle cores as there are processes. Bytes are
what a process hands to collectives in the forward pass: what slots exchange, and the buffers of
BatchNorm, which DistributedDataParallel sends (DBM-BS has nothing else). Gradients stand apart.
"""

import argparse
import os
import statistics
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from _results import save
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch.utils._python_dispatch import TorchDispatchMode

import mmlt  # noqa: F401  (registers everything)

CLASSES, BATCH = 100, 32
HEADS = {
    'DBM-BS': ('plain', dict(type='DBMHead', joint=dict(type='BalancedSoftmaxLoss'))),
    'BCE3S': (('plain', 'mixup', 'cutmix'), dict(type='BCE3SHead')),
    'BCL': ('pipeline', dict(type='BCLHead')),
}


class Exchanged(TorchDispatchMode):
    """Bytes of the tensors that are handed to collectives."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace in ('c10d', '_c10d_functional'):
            flat = torch.utils._pytree.tree_leaves(args)
            self.bytes += sum(x.nbytes for x in flat if isinstance(x, torch.Tensor))
        return func(*args, **(kwargs or {}))


def train(rank: int, world: int, name: str, iterations: int, port: int, queue) -> None:
    """Steps of one process; the first reports."""
    os.environ.update(MASTER_ADDR='localhost', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    init_default_scope('mmpretrain')
    dist.init_process_group('gloo', rank=rank, world_size=world)
    views, head = HEADS[name]
    torch.manual_seed(rank)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            data_preprocessor=dict(
                type='MultiViewDataPreprocessor', views=views, num_classes=CLASSES
            ),
            backbone=dict(type='CifarResNet', depth=20),
            neck=dict(type='GlobalAveragePooling'),
            head=head
            | dict(num_classes=CLASSES, in_channels=64, class_counts=list(range(CLASSES, 0, -1))),
        )
    ).train()
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    image = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    inputs = [[image] * BATCH] * 3 if views == 'pipeline' else [image] * BATCH
    samples = [DataSample().set_gt_label(k % CLASSES) for k in range(BATCH)]
    times, exchanged = [], 0
    for step in range(iterations + 2):
        begin = time.perf_counter()
        data = model.data_preprocessor(dict(inputs=inputs, data_samples=samples), training=True)
        with Exchanged() as seen:
            loss, _ = model.parse_losses(wrapped(**data, mode='loss'))
        wrapped.zero_grad()
        loss.backward()
        if step > 1:
            times.append(time.perf_counter() - begin)
            exchanged = seen.bytes
    if rank == 0:
        size = sum(p.nbytes for p in model.parameters() if p.requires_grad)
        queue.put((statistics.median(times), exchanged, size))
    dist.destroy_process_group()


def measure(name: str, world: int, iterations: int) -> tuple:
    """Seconds a step, bytes of the slots, bytes of the gradients."""
    context = mp.get_context('spawn')
    queue = context.SimpleQueue()
    port = 29400 + os.getpid() % 500
    mp.spawn(train, (world, name, iterations, port, queue), nprocs=world)
    return queue.get()


def main() -> None:
    """Measure, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--heads', nargs='+', choices=HEADS, default=list(HEADS))
    parser.add_argument('--iterations', type=int, default=9)
    args = parser.parse_args()
    rows = []
    for name in args.heads:
        alone, together = (measure(name, world, args.iterations) for world in (1, 2))
        rows.append(
            [
                name,
                f'{together[0] / alone[0]:.2f}',
                f'{together[1] / 1024:.1f}',
                f'{together[2] / 1024:.0f}',
            ]
        )
    save(
        'processes',
        f'ResNet-20, {BATCH} images a process, gloo, {os.cpu_count()} cores shared with other work',
        ['head', 'time of 2 processes over 1', 'KiB in the forward pass', 'KiB of gradients'],
        rows,
        threads=1,
    )


if __name__ == '__main__':
    main()
