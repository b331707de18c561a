"""No step waits for the device: no value is read, no shape depends on the data."""

import pytest
import torch
from mmengine.dataset import default_collate
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch.utils._python_dispatch import TorchDispatchMode

import mmlt  # noqa: F401
from mmlt.models.slots import CompanionOutput

K, D, N = 5, 6, 4
COUNTS = [40, 7, 90, 3, 15]
READS = ('_local_scalar_dense', 'nonzero', 'masked_select', 'equal', 'unique')
HEADS = {
    'BCE3S': dict(type='BCE3SHead'),
    'CE3S': dict(type='BCE3SHead', joint='softmax', contrast='softmax', uniform='softmax'),
    'BCL': dict(type='BCLHead'),
    'DBM-BS': dict(type='DBMHead', joint=dict(type='BalancedSoftmaxLoss')),
    'LDAM': dict(type='DBMHead', margin=dict(type='LDAMMargin')),
    'DBM-BCL': dict(
        type='BCLHead', classifier=dict(type='CosineLinear'), margin=dict(type='DBMMargin')
    ),
    'class-balanced': dict(type='TripartiteHead', joint=dict(type='ClassBalancedLoss')),
    'DRW': dict(
        type='TripartiteHead',
        joint=dict(
            type='ClassBalancedLoss', average='weights', criterion=dict(type='SoftmaxPairLoss')
        ),
    ),
    'focal': dict(type='TripartiteHead', joint=dict(type='SoftmaxFocalLoss')),
    'NCL': dict(type='NCLHead'),
    'DBM-NCL': dict(
        type='NCLHead', classifier=dict(type='CosineLinear'), margin=dict(type='DBMMargin')
    ),
    'GML': dict(type='GMLHead', margin=dict(type='DBMMargin'), queue_size=20),
}


class Waits(TorchDispatchMode):
    """Names of the operations that make a GPU wait."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split('.')[0]
        masks = [
            index
            for index in (args[1] if name in ('index', 'index_put', 'index_put_') else ())
            if index is not None and index.dtype == torch.bool
        ]
        if name in READS or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def batch(views):
    images = torch.randint(256, (N, 3, 8, 8), dtype=torch.uint8)
    inputs = [[image] * 3 for image in images] if views == 'pipeline' else list(images)
    samples = [
        DataSample(metainfo=dict(sample_idx=i)).set_gt_label(k) for i, k in enumerate((0, 3, 3, 1))
    ]
    return default_collate([dict(inputs=x, data_samples=s) for x, s in zip(inputs, samples)])


# BCL and GML contrast labelled views, and refuse mixtures.
CASES = [
    (name, views)
    for name in HEADS
    for views in ('plain', 'mixed', 'pipeline')
    if not (('BCL' in name or name == 'GML') and views == 'mixed')
]


@pytest.mark.parametrize(('name', 'views'), CASES)
def test_preprocessing_loss_and_backward_wait_for_nothing(name, views):
    kinds = {'mixed': ('plain', 'mixup', 'cutmix')}
    preprocessor = MODELS.build(
        dict(type='MultiViewDataPreprocessor', views=kinds.get(views, views), num_classes=K)
    )
    head = MODELS.build(dict(num_classes=K, in_channels=D, class_counts=COUNTS) | HEADS[name])
    data = batch(views)
    output = CompanionOutput({1: (torch.randn(N, D),)}, {0: torch.randn(N, K)}, momentum=0.9)
    companions = dict(momentum=output, teacher=output)
    with Waits() as waits:
        made = preprocessor(data, training=True)
        features = torch.randn(len(made['inputs']), D, requires_grad=True)
        feats = (features,) * len(getattr(head, 'experts', (head,)))
        sum(head.loss(feats, made['data_samples'], **companions).values()).backward()
    assert waits.found == []
    assert features.grad.isfinite().all()


def test_a_wait_would_be_seen():
    with Waits() as waits:
        x = torch.arange(3.0)
        x[x > 1], x.sum().item(), torch.nn.functional.one_hot(x.long(), 4)
    assert {'index', '_local_scalar_dense'} <= set(waits.found)
