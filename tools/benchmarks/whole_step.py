"""A whole training step, data included, against a plain loop and against our own slow form.

    python tools/benchmarks/whole_step.py [--methods DBM-BS BCL BCE3S] [--batch-size 64]

ResNet-32, 32x32 random images in memory, 100 classes, one process without data workers. 'plain' is
tools/benchmarks/plain_loops.py; 'float32' our config as it is; 'fast' with what ``tools/train.py
--fast --batch-augment`` sets. All take turns.
"""

import argparse
import itertools

import numpy as np
import torch
from _results import medians, save
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS, MODELS
from plain_loops import LOOPS

import mmlt  # noqa: F401  (registers everything)
from mmlt.config_file import with_pipeline
from mmlt.engine.fast_data import augment_in_batches

CONFIGS = {
    'DBM-BS': 'configs/dbm/dbm-bs_resnet32_cifar100-lt-if100.py',
    'BCL': 'configs/bcl/resnet32_cifar100-lt-if100.py',
    'BCE3S': 'configs/bce3s/resnet32_cifar100-lt-if100.py',
}
CLASSES = 100


@DATASETS.register_module()
class RandomImages(BaseDataset):
    """Noise of the size of CIFAR's images, the same for all who compare."""

    METAINFO = dict(classes=[str(k) for k in range(CLASSES)])

    def __init__(self, number: int = 1000, **kwargs):
        self.number = number
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self):
        images, labels = random_images(self.number)
        return [dict(img=image, gt_label=int(k)) for image, k in zip(images, labels, strict=True)]


def random_images(number: int):
    """Images (number, 32, 32, 3) uint8 and labels."""
    generator = np.random.default_rng(0)
    images = generator.integers(256, size=(number, 32, 32, 3), dtype=np.uint8)
    return images, generator.permutation(number) % CLASSES


def our_step(path: str, batch_size: int, fast: bool):
    """Model, optimizer and data of a config."""
    cfg = Config.fromfile(path)
    pipeline = with_pipeline(cfg.train_dataloader.dataset).pipeline
    dataset = dict(type='RandomImages', pipeline=pipeline)
    if 'bce3s' in path:  # its partners come from a second draw, as in the release
        dataset = dict(type='MixPartnerDataset', power=0.0, dataset=dataset)
        cfg.data_preprocessor.partner = 'weighted'
    cfg.train_dataloader.update(batch_size=batch_size, num_workers=0)
    cfg.train_dataloader.dataset = dataset
    cfg.train_dataloader.persistent_workers = False
    if fast:
        augment_in_batches(cfg)
        cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16')
    cfg.optim_wrapper.optimizer.lr = 0.01
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).train()
    if fast:
        model.backbone.to(memory_format=torch.channels_last)
    loader = Runner.build_dataloader(cfg.train_dataloader)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batches = itertools.chain.from_iterable(iter(loader) for _ in itertools.count())
    return lambda: model.train_step(next(batches), wrapper)


def main() -> None:
    """Take turns, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--methods', nargs='+', choices=LOOPS, default=list(LOOPS))
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--iterations', type=int, default=7)
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    images, labels = random_images(1000)
    rows = []
    for name in args.methods:
        torch.manual_seed(0)
        loop, views = LOOPS[name]
        counts = [500 - 4 * k for k in range(CLASSES)]
        steps = {
            'plain': loop(images, labels, counts, args.batch_size, *views).step,
            'float32': our_step(CONFIGS[name], args.batch_size, fast=False),
            'fast': our_step(CONFIGS[name], args.batch_size, fast=True),
        }
        seconds = medians(steps, args.iterations)
        ratios = [f'{seconds["plain"] / seconds[key]:.2f}' for key in ('float32', 'fast')]
        rows.append([name, f'{seconds["plain"]:.2f}', *ratios])
    save(
        'whole_step',
        f'batch {args.batch_size}, ResNet-32, K = 100; how many times as fast as the plain loop; '
        f'median of {args.iterations} steps that take turns',
        ['method', 'plain loop, s', 'ours, float32', 'ours, fast'],
        rows,
    )


if __name__ == '__main__':
    main()
