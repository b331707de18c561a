"""Heads against LinearClsHead: kernels, memory and time of a step, forward and backward.

    python tools/benchmarks/heads.py [--classes 100 1000 8142] [--iterations 9]

N = 256 random features of width D = 2048. BCE3S has three views, two of them mixed, BCL three
views: they are compared with LinearClsHead on 3 N features. Kernels and bytes are counted, so no
machine's speed changes them; of the time the ratio is what to quote.
"""

import argparse

import torch
import torch.nn.functional as F
from _counting import StepCounter
from _results import medians, save
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401  (registers everything)
from mmlt.models.targets import ViewSamples

N, D = 256, 2048
HEADS = {
    'LinearClsHead': (dict(type='LinearClsHead'), 1),
    'balanced softmax': (
        dict(
            type='TripartiteHead',
            classifier=dict(type='torch.nn.Linear'),
            joint=dict(type='BalancedSoftmaxLoss'),
        ),
        1,
    ),
    'sigmoid joint (unit rows)': (
        dict(type='TripartiteHead', joint=dict(type='SigmoidPairLoss')),
        1,
    ),
    'LDAM': (dict(type='DBMHead', margin=dict(type='LDAMMargin')), 1),
    'DBM-BS': (dict(type='DBMHead', joint=dict(type='BalancedSoftmaxLoss')), 1),
    'LinearClsHead, 3 N': (dict(type='LinearClsHead'), 3),
    'BCE3S': (dict(type='BCE3SHead'), 3),
    'BCE3S, 1000 rows drawn': (
        dict(type='BCE3SHead', uniform=dict(type='SigmoidUniformLoss', sample_size=1000)),
        3,
    ),
    'BCL': (dict(type='BCLHead'), 3),
}


def step_of(spec: dict, views: int, num_classes: int):
    """A function that takes one step."""
    torch.manual_seed(0)
    counts = [max(1, 1000 * (num_classes - k) // num_classes) for k in range(num_classes)]
    own = {} if spec['type'] == 'LinearClsHead' else dict(class_counts=counts)
    head = MODELS.build(dict(num_classes=num_classes, in_channels=D) | own | spec).train()
    features = torch.randn(N * views, D, requires_grad=True)
    labels = torch.randint(num_classes, (N,))
    samples = [DataSample().set_gt_label(int(label)) for label in labels]
    if views > 1 and not own:
        samples = samples * views
    elif views > 1:
        soft = F.one_hot(labels, num_classes).float()
        soft = 0.7 * soft + 0.3 * soft.flip(0)
        others = soft if spec['type'] == 'BCE3SHead' else labels
        samples = ViewSamples(samples, (labels, others, others))

    def step() -> None:
        head.zero_grad()
        features.grad = None
        losses = head.loss((features,), samples)
        sum(value for name, value in losses.items() if 'loss' in name).backward()

    return step


def main() -> None:
    """Count, time, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--classes', nargs='+', type=int, default=[100, 1000, 8142])
    parser.add_argument('--iterations', type=int, default=9)
    args = parser.parse_args()
    rows = []
    for num_classes in args.classes:
        steps = {name: step_of(*spec, num_classes) for name, spec in HEADS.items()}
        counted = {}
        for name, step in steps.items():
            step()
            with StepCounter() as counted[name]:
                step()
        seconds = medians(steps, args.iterations)
        for name, (_, views) in HEADS.items():
            base = 'LinearClsHead, 3 N' if views == 3 else 'LinearClsHead'
            row = [num_classes, name, counted[name].kernels]
            row += [f'{counted[name].peak / 2**20:.1f}']
            row += [f'{counted[name].peak / counted[base].peak:.2f}']
            rows.append([*row, f'{seconds[name] / seconds[base]:.2f}'])
    save(
        'heads',
        'N = 256, D = 2048; ratios to LinearClsHead on as many features; time: median of '
        f'{args.iterations} steps that take turns',
        ['K', 'head', 'kernels', 'MiB', 'memory ratio', 'time ratio'],
        rows,
    )


if __name__ == '__main__':
    main()
