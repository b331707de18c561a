"""What a step of a head starts and holds, counted: numbers that no machine's speed changes."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.models.targets import ViewSamples

sys.path.insert(0, str(Path(__file__).parents[2] / 'tools' / 'benchmarks'))
from _counting import StepCounter  # noqa: E402

N, D = 32, 256  # D / N as on ImageNet-LT, where the class vectors are most of the memory
LINEAR = dict(type='LinearClsHead')
DBM = dict(type='DBMHead', joint=dict(type='BalancedSoftmaxLoss'))
LDAM = dict(type='DBMHead', margin=dict(type='LDAMMargin'))
SIGMOID = dict(type='TripartiteHead', joint=dict(type='SigmoidPairLoss'))


def count(spec, num_classes=40, views=1, mixed=False):
    counts = {} if spec is LINEAR else dict(class_counts=list(range(num_classes, 0, -1)))
    head = MODELS.build(dict(num_classes=num_classes, in_channels=D) | counts | spec).train()
    features = torch.randn(N * views, D, requires_grad=True)
    labels = torch.arange(N) % num_classes
    samples = [DataSample().set_gt_label(int(label)) for label in labels]
    if views > 1:
        soft = F.one_hot(labels, num_classes).float()
        soft = 0.7 * soft + 0.3 * soft.flip(0)
        samples = ViewSamples(samples, (labels, *[soft if mixed else labels] * (views - 1)))

    def step():
        head.zero_grad()
        features.grad = None
        losses = head.loss((features,), samples)
        sum(value for name, value in losses.items() if 'loss' in name).backward()

    step()  # what is made once
    with StepCounter() as counter:
        step()
    return counter


@pytest.mark.parametrize(
    ('spec', 'views', 'mixed', 'most'),
    [
        (LINEAR, 1, False, 16),
        (SIGMOID, 1, False, 30),
        (LDAM, 1, False, 35),
        (DBM, 1, False, 68),
        (dict(type='BCE3SHead'), 3, True, 200),
        (dict(type='BCLHead'), 3, False, 156),
    ],
    ids=['linear', 'sigmoid', 'LDAM', 'DBM-BS', 'BCE3S', 'BCL'],
)
def test_kernels_of_a_step(spec, views, mixed, most):
    assert count(spec, views=views, mixed=mixed).kernels <= most


@pytest.mark.parametrize('spec', [SIGMOID, LDAM, DBM], ids=['sigmoid', 'LDAM', 'DBM-BS'])
def test_a_head_of_many_classes_holds_little_more_than_a_linear_one(spec):
    """No second copy of the weights, no row of copies of the logits."""
    classes = 4000
    assert count(spec, classes).peak <= 1.5 * count(LINEAR, classes).peak
