"""Time the balanced contrastive loss against the matrix products it cannot do without.

    python tools/benchmarks/contrastive_loss.py --samples 256 --views 2 --classes 8142 --width 128

The products are the similarities of all anchors to all items, ``S = Z [Z; P]^T``, and the two of
its backward pass, ``G [Z; P]`` and ``G^T Z``. Both take turns, so that whatever else the machine
does slows both alike; the ratio of the medians is what to quote. The features are random.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

from mmlt.functional import balanced_contrastive_loss


def main() -> None:
    """Read the command line, time both, print the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--samples', type=int, default=256, help='N')
    parser.add_argument('--views', type=int, default=2, help='V')
    parser.add_argument('--classes', type=int, default=8142, help='K; iNaturalist 2018 by default')
    parser.add_argument('--width', type=int, default=128, help='d')
    parser.add_argument('--form', choices=['L1', 'L2', 'L3'], default='L1')
    parser.add_argument('--iterations', type=int, default=50)
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    names = ('matrix products', f'balanced contrastive loss, {args.form}')
    steps = prepare_steps(args.samples, args.views, args.classes, args.width, args.form)
    times = ([], [])
    for iteration in range(args.iterations + 5):
        for step, record in zip(steps, times):
            begin = time.perf_counter()
            step()
            if iteration >= 5:  # the first ones warm up
                record.append(time.perf_counter() - begin)
    medians = [statistics.median(record) for record in times]
    for name, median in zip(names, medians):
        print(f'{1000 * median:9.2f} ms  {name}')
    print(f'ratio of medians {medians[1] / medians[0]:.3f}, {args.iterations} steps each')


def prepare_steps(num_samples: int, num_views: int, num_classes: int, width: int, form: str):
    """Draw the features; return the two functions to time, each forward and backward."""
    torch.manual_seed(0)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    features = torch.randn(num_samples, num_views, width, device=device)
    features = F.normalize(features, dim=-1).requires_grad_()
    prototypes = torch.randn(num_classes, width, device=device)
    prototypes = F.normalize(prototypes, dim=-1).requires_grad_()
    target = torch.randint(num_classes, (num_samples,), device=device)
    anchors = features.detach().flatten(0, 1)
    items = torch.cat([anchors, prototypes.detach()])
    gradient = torch.rand(len(anchors), len(items), device=device)

    def wait() -> None:
        if device == 'cuda':
            torch.cuda.synchronize()

    def products():
        outputs = anchors @ items.T, gradient @ items, gradient.T @ anchors
        wait()
        return outputs

    def loss():
        value = balanced_contrastive_loss(features, target, prototypes, 0.1, form=form)
        gradients = torch.autograd.grad(value, (features, prototypes))
        wait()
        return gradients

    return products, loss


if __name__ == '__main__':
    main()
