"""The uniform slot on rows drawn at random: how far the estimate is off, and what it costs.

    python tools/benchmarks/uniform_sample.py [--classes 8142] [--width 256]

Unit rows at random, as at the start of a training, and the same pulled together by a common
direction, as head classes are. Of the loss: standard deviation of an estimate over the loss. Of the
gradient: the cosine of one estimate, and of the mean of all draws, with the gradient of all rows.
"""

import argparse
import time

import torch
import torch.nn.functional as F
from _results import save

from mmlt.functional import sigmoid_uniform_loss


def gradient_of(weight, **options):
    """Loss, gradient and CPU seconds."""
    weight = weight.clone().requires_grad_()
    begin = time.process_time()
    loss = sigmoid_uniform_loss(weight, **options)
    loss.backward()
    return loss.item(), weight.grad, time.process_time() - begin


def main() -> None:
    """Draw, compare, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--classes', type=int, default=8142)
    parser.add_argument('--width', type=int, default=256)
    parser.add_argument('--draws', type=int, default=100)
    args = parser.parse_args()
    torch.manual_seed(0)
    rows = []
    free = torch.randn(args.classes, args.width)
    for name, weight in (('random', free), ('pulled together', free + torch.randn(args.width))):
        whole, gradient, seconds = gradient_of(weight)
        for size in (250, 1000, 4000):
            draws = [gradient_of(weight, sample_size=size) for _ in range(args.draws)]
            losses = torch.tensor([draw[0] for draw in draws])
            one, mean = draws[0][1], sum(draw[1] for draw in draws) / len(draws)
            cosines = [F.cosine_similarity(g.flatten(), gradient.flatten(), 0) for g in (one, mean)]
            rows.append(
                [
                    name,
                    size,
                    f'{losses.mean() / whole - 1:+.1e}',
                    f'{losses.std() / whole:.1e}',
                    *(f'{cosine:.3f}' for cosine in cosines),
                    f'{min(draw[2] for draw in draws) / seconds:.3f}',
                ]
            )
    save(
        'uniform_sample',
        f'K = {args.classes}, D = {args.width}, {args.draws} draws',
        ['rows', 'drawn', 'bias', 'std', 'cosine, one step', 'cosine, all draws', 'time ratio'],
        rows,
    )


if __name__ == '__main__':
    main()
