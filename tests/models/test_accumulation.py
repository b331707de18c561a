"""Gradient accumulation: which losses two half batches make of a whole one, which they do not."""

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

N, K, D = 8, 5, 6
COUNTS = [40, 7, 90, 3, 15]
LABELS = torch.tensor([0, 3, 3, 1, 2, 4, 0, 2])
EXACT = {
    'cross-entropy': dict(type='TripartiteHead', joint=dict(type='SoftmaxPairLoss')),
    'sigmoid': dict(type='TripartiteHead', joint=dict(type='SigmoidPairLoss')),
    'DBM-BS': dict(type='DBMHead', joint=dict(type='BalancedSoftmaxLoss')),
    'LDAM': dict(type='DBMHead', margin=dict(type='LDAMMargin')),
    'class-balanced': dict(type='TripartiteHead', joint=dict(type='ClassBalancedLoss')),
    'uniform': dict(type='TripartiteHead', uniform=dict(type='SigmoidUniformLoss')),
}
OTHER = {
    'BCL': dict(type='BCLHead'),
    'weighted mean': dict(
        type='TripartiteHead', joint=dict(type='ClassBalancedLoss', average='weights')
    ),
}


def gradients(spec, parts):
    """What an optimizer sees after ``parts`` micro-batches, each divided by their number."""
    torch.manual_seed(0)
    head = MODELS.build(dict(num_classes=K, in_channels=D, class_counts=COUNTS) | spec).train()
    features = torch.randn(N, D)
    for rows in torch.arange(N).chunk(parts):
        samples = [DataSample().set_gt_label(int(LABELS[row])) for row in rows]
        losses = head.loss((features[rows],), samples)
        (sum(value for name, value in losses.items() if 'loss' in name) / parts).backward()
    return torch.cat([p.grad.flatten() for p in head.parameters() if p.grad is not None])


@pytest.mark.parametrize('name', EXACT)
def test_losses_of_single_images_add_up(name):
    whole, halves = (gradients(EXACT[name], parts) for parts in (1, 2))
    assert whole.abs().max() > 1e-4
    torch.testing.assert_close(halves, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', OTHER)
def test_what_compares_the_images_of_a_batch_does_not(name):
    whole, halves = (gradients(OTHER[name], parts) for parts in (1, 2))
    assert (halves - whole).norm() > 0.01 * whole.norm()
