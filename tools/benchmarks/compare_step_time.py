"""Time a training step of one config against others', all in one run.

    python tools/benchmarks/compare_step_time.py configs/baselines/ce_resnet32_cifar10-lt-if100.py \
        configs/dbm/dbm-bs_resnet32_cifar10-lt-if100.py

The steps alternate, so that whatever else the machine does slows all alike; the ratio of the
medians is what to quote. The images are random numbers of the size of the config's batch; a teacher
has random weights. With --memory each config also takes three steps in a process of its own, whose
peak of memory above what it had before the model was built is printed.
"""

import argparse
import multiprocessing
import re
import statistics
import tempfile
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401  (registers everything)
from mmlt.config_file import with_pipeline


def main() -> None:
    """Read the command line, time both, print the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('baseline', help='config whose step time is 1')
    parser.add_argument('configs', nargs='+', help='configs to compare')
    parser.add_argument('--iterations', type=int, default=100)
    parser.add_argument('--image-size', type=int, default=32, help='pixels of an edge')
    parser.add_argument('--batch-size', type=int, help="default: the baseline's")
    parser.add_argument('--memory', action='store_true', help='peaks of memory too (Linux)')
    args = parser.parse_args()
    paths = [args.baseline, *args.configs]
    configs = [Config.fromfile(path) for path in paths]
    batch_size = args.batch_size or configs[0].train_dataloader.batch_size
    steps = [prepare_step(cfg, batch_size, args.image_size) for cfg in configs]
    times = [[] for _ in steps]
    for iteration in range(args.iterations + 5):
        for step, record in zip(steps, times):
            seconds = step()
            if iteration >= 5:  # the first ones warm up
                record.append(seconds)
    medians = [statistics.median(record) for record in times]
    print(f'medians of {args.iterations} steps, and their ratio to the first')
    for path, median in zip(paths, medians):
        print(f'{1000 * median:9.2f} ms  {median / medians[0]:6.3f}  {path}')
    if args.memory:
        print('peak of memory of three steps, and its ratio to the first')
        peaks = [peak_in_process(path, batch_size, args.image_size) for path in paths]
        for path, peak in zip(paths, peaks):
            print(f'{peak:9.1f} MiB {peak / peaks[0]:6.3f}  {path}')


def peak_in_process(path: str, batch_size: int, image_size: int) -> float:
    """MiB that three steps of a config need, measured in a process that does nothing else."""
    # Spawned: a forked one would inherit the peak of this process.
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(peak_memory, (path, batch_size, image_size))


def peak_memory(path: str, batch_size: int, image_size: int) -> float:
    """Peak of memory in MiB of three steps, above what there was before."""
    cfg = Config.fromfile(path)
    before = high_water()
    step = prepare_step(cfg, batch_size, image_size)
    for _ in range(3):
        step()
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return high_water() - before


def high_water() -> float:
    """The largest resident size that this process has had, in MiB."""
    status = Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) / 1024


def number_of_views(cfg: Config) -> int:
    """Views that the training pipeline makes of an image."""
    dataset = with_pipeline(cfg.train_dataloader.dataset)
    return sum(sum(step.get('num_views', ())) for step in dataset.pipeline) or 1


def with_a_teacher(cfg: Config, folder: str) -> Config:
    """The config with random weights where it wants a teacher's."""
    for name, spec in cfg.model.get('companions', {}).items():
        if 'checkpoint' in spec and spec.checkpoint is None:
            spec.checkpoint = f'{folder}/{name}.pth'
            torch.save(MODELS.build(spec.model).state_dict(), spec.checkpoint)
    return cfg


def prepare_step(cfg: Config, batch_size: int, image_size: int):
    """Build the model; return a function that takes one step and returns its seconds."""
    torch.manual_seed(0)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    with tempfile.TemporaryDirectory() as folder:
        cfg = with_a_teacher(cfg, folder)
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
        for companion in getattr(model, 'companions', {}).values():
            companion.prepare(model)
    model = model.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = torch.randint(256, (batch_size, 3, image_size, image_size), dtype=torch.uint8)
    views = number_of_views(cfg)
    images = [images] * views if views > 1 else images
    labels = torch.randint(cfg.data_preprocessor.num_classes, (batch_size,)).tolist()

    def step() -> float:
        samples = [
            DataSample(metainfo=dict(sample_idx=i)).set_gt_label(label)
            for i, label in enumerate(labels)
        ]
        begin = time.perf_counter()
        batch = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
        loss, _ = model.parse_losses(model(**batch, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    return step


if __name__ == '__main__':
    main()
