"""Time the geometry of features batch by batch: both passes and what is computed from them.

    python tools/benchmarks/geometry.py           # a tenth of the samples of ImageNet-LT
    python tools/benchmarks/geometry.py --full    # 115,846 samples of width 2048, 1000 classes

The features are random and drawn anew in the second pass, chunk by chunk, so that memory does not
grow with the samples; the time to draw them is not counted. The passes grow with the number of
samples, the rest does not.
"""

import argparse
import resource
import time
from collections.abc import Iterator

import torch

from mmlt.evaluation import GeometryStatistics

FULL = 115846


def main() -> None:
    """Read the command line, go over the features twice, print the seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--samples', type=int, default=FULL // 10, help='N')
    parser.add_argument('--full', action='store_true', help=f'{FULL} samples')
    parser.add_argument('--classes', type=int, default=1000, help='K')
    parser.add_argument('--width', type=int, default=2048, help='D')
    parser.add_argument('--chunk', type=int, default=2048, help='samples at a time')
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    num_samples = FULL if args.full else args.samples
    size = (num_samples, args.classes, args.width, args.chunk)
    print(
        f'{num_samples} samples, {args.classes} classes, width {args.width}, {args.threads} threads'
    )

    statistics = GeometryStatistics(args.classes, args.width)
    report('first pass', go_over(statistics, size))
    weight = torch.randn(args.classes, args.width)
    second = statistics.second_pass(weight)
    report('second pass, with NC4', go_over(second, size))
    for name, measure in (
        ('compactness', statistics.compactness),
        ('separability', lambda: second.separability('global')),
        ('Fisher separability', statistics.fisher_separability),
        ('NC1 to NC3', lambda: statistics.neural_collapse(weight)),
    ):
        begin = time.perf_counter()
        measure()
        report(name, time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f'{peak:9.2f} GiB  peak memory of the process (where ru_maxrss counts KiB)')


def draw(num_samples: int, num_classes: int, width: int, chunk: int) -> Iterator:
    """Yield the same chunks of features and labels each time."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(num_classes, width, generator=generator)
    for start in range(0, num_samples, chunk):
        rows = min(chunk, num_samples - start)
        labels = torch.randint(num_classes, (rows,), generator=generator)
        yield means[labels] + torch.randn(rows, width, generator=generator), labels


def go_over(sums, size: tuple[int, int, int, int]) -> float:
    """Feed all chunks; return the seconds spent in ``update`` alone."""
    seconds = 0.0
    for features, labels in draw(*size):
        begin = time.perf_counter()
        sums.update(features, labels)
        seconds += time.perf_counter() - begin
    return seconds


def report(name: str, seconds: float) -> None:
    """Print one line."""
    print(f'{seconds:9.2f} s    {name}', flush=True)


if __name__ == '__main__':
    main()
