"""How each slot grows with the number of classes K: seconds and MiB of a step.

    python tools/benchmarks/growth.py [--classes 1000 10000 100000] [--width 256]

N = 64 samples, D = 256, projections of width d = 128, forward and backward. Beside what was
measured stands what the formula makes of the column before it, so that the last one can be trusted
for K = 1e6, which is predicted and not run.
"""

import argparse
import time

import torch
from _counting import StepCounter
from _results import save

from mmlt.functional import (
    balanced_contrastive_loss,
    bank_similarity,
    sigmoid_pair_loss,
    sigmoid_uniform_loss,
    write_bank,
)
from mmlt.functional.linear import unit_linear
from mmlt.functional.numerics import unit_rows

N, WIDTH = 64, 128
# Slot: (operations in K, N, D, d and V = 2 views, the largest K that is run whole)
GROWTH = {
    'joint, sigmoid': ('6 N K D', lambda k, d: 6 * N * k * d, 10**6),
    'contrast, bank': ('4 N K d', lambda k, d: 4 * N * k * WIDTH, 10**6),
    'contrast, prototypes': ('6 V N K d', lambda k, d: 12 * N * k * WIDTH, 10**6),
    'uniform': ('3 K^2 D', lambda k, d: 3 * k * k * d, 10**4),
    'uniform, 1000 rows': ('3 S^2 D + K D', lambda k, d: 3 * 10**6 * d + k * d, 10**6),
}


def step_of(slot: str, k: int, width: int):
    """A function that takes one step of a slot with K classes."""
    torch.manual_seed(0)
    labels = torch.randint(k, (N,))
    if slot == 'joint, sigmoid':
        x, w = torch.randn(N, width).requires_grad_(), torch.randn(k, width).requires_grad_()
        return lambda: sigmoid_pair_loss(unit_linear(x, w), labels).backward()
    if slot == 'contrast, bank':
        z, bank = torch.randn(N, WIDTH).requires_grad_(), torch.randn(k, WIDTH)
        seen = torch.ones(k)

        def bank_step():
            sigmoid_pair_loss(bank_similarity(z, bank, 1.0), labels).backward()
            write_bank(bank, seen, z.detach(), labels)

        return bank_step
    if slot == 'contrast, prototypes':
        z = torch.randn(N, 2, WIDTH).requires_grad_()
        rows = torch.randn(k, WIDTH).requires_grad_()
        return lambda: balanced_contrastive_loss(
            unit_rows(z), labels, unit_rows(rows), 0.1
        ).backward()
    weight = torch.randn(k, width).requires_grad_()
    size = 1000 if '1000' in slot and k > 1000 else None
    return lambda: sigmoid_uniform_loss(weight, sample_size=size).backward()


def measure(slot: str, k: int, width: int) -> tuple[float, float]:
    """Seconds, the smallest of three, and MiB."""
    step = step_of(slot, k, width)
    step()
    with StepCounter() as counter:
        step()
    times = []
    for _ in range(3):
        begin = time.process_time()
        step()
        times.append(time.process_time() - begin)
    return min(times), counter.peak / 2**20


def main() -> None:
    """Measure, predict, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--classes', nargs='+', type=int, default=[1000, 10000, 100000])
    parser.add_argument('--width', type=int, default=256, help='D')
    args = parser.parse_args()
    rows = []
    for slot, (formula, operations, largest) in GROWTH.items():
        row, before = [slot, formula], None
        for k in [*args.classes, 10 * args.classes[-1]]:
            cost = operations(k, args.width)
            predicted = before and before[0] * cost / before[1]
            if k > min(largest, args.classes[-1]):
                row.append(f'({predicted:.2g} s)')
                before = (predicted, cost)
                continue
            seconds, size = measure(slot, k, args.width)
            row.append(
                f'{seconds:.2g} s, {size:.0f} MiB' + (f' ({predicted:.2g} s)' if before else '')
            )
            before = (seconds, cost)
        rows.append(row)
    save(
        'growth',
        f'N = {N}, D = {args.width}, d = {WIDTH}; in brackets: what the operations '
        'make of the column before',
        [
            'slot',
            'multiplications',
            *(f'K = {k:,}' for k in [*args.classes, 10 * args.classes[-1]]),
        ],
        rows,
    )


if __name__ == '__main__':
    main()
