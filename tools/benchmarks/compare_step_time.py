"""Time a training step of one config against another's, both in one run.

    python tools/benchmarks/compare_step_time.py configs/baselines/ce_resnet32_cifar10-lt-if100.py \
        configs/dbm/dbm-bs_resnet32_cifar10-lt-if100.py

The steps alternate, so that whatever else the machine does slows both alike; the ratio of the
medians is what to quote. The images are random numbers of the size of the config's batch.
"""

import argparse
import statistics
import time

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401  (registers everything)


def main() -> None:
    """Read the command line, time both, print the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('baseline', help='config whose step time is 1')
    parser.add_argument('config', help='config to compare')
    parser.add_argument('--iterations', type=int, default=100)
    parser.add_argument('--image-size', type=int, default=32, help='pixels of an edge')
    parser.add_argument('--batch-size', type=int, help="default: the baseline's")
    args = parser.parse_args()
    configs = [Config.fromfile(path) for path in (args.baseline, args.config)]
    batch_size = args.batch_size or configs[0].train_dataloader.batch_size
    steps = [prepare_step(cfg, batch_size, args.image_size) for cfg in configs]
    times = ([], [])
    for iteration in range(args.iterations + 5):
        for step, record in zip(steps, times):
            seconds = step()
            if iteration >= 5:  # the first ones warm up
                record.append(seconds)
    medians = [statistics.median(record) for record in times]
    for path, median in zip((args.baseline, args.config), medians):
        print(f'{1000 * median:9.2f} ms  {path}')
    print(f'ratio of medians {medians[1] / medians[0]:.3f}, {args.iterations} steps each')


def prepare_step(cfg: Config, batch_size: int, image_size: int):
    """Build the model; return a function that takes one step and returns its seconds."""
    torch.manual_seed(0)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    model = model.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = torch.randint(256, (batch_size, 3, image_size, image_size), dtype=torch.uint8)
    labels = torch.randint(cfg.data_preprocessor.num_classes, (batch_size,)).tolist()

    def step() -> float:
        samples = [DataSample().set_gt_label(label) for label in labels]
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
