"""Balanced softmax, focal and the class-balanced loss's two averages."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmpretrain.registry import MODELS
from reference import dbm

import mmlt.functional as func

N, K = 6, 4
COUNTS = [30, 500, 2, 80]  # not sorted, as on ImageNet-LT
BOTH = pytest.mark.parametrize('kind', ['BalancedSoftmaxLoss', 'SoftmaxFocalLoss'])
EVERY = {
    'balanced': dict(type='BalancedSoftmaxLoss', class_counts=COUNTS),
    'adjusted': dict(type='BalancedSoftmaxLoss', class_counts=COUNTS, tau=1.5),
    'focal': dict(type='SoftmaxFocalLoss'),
    'half-focal': dict(type='SoftmaxFocalLoss', gamma=0.5),
    'cb-samples': dict(
        type='ClassBalancedLoss', class_counts=COUNTS, criterion=dict(type='SoftmaxPairLoss')
    ),
    'cb-weights': dict(
        type='ClassBalancedLoss',
        class_counts=COUNTS,
        average='weights',
        criterion=dict(type='SoftmaxPairLoss'),
    ),
}
EACH = pytest.mark.parametrize('name', list(EVERY))


def build(kind, /, **options):
    if kind == 'BalancedSoftmaxLoss':
        options = dict(class_counts=COUNTS) | options
    return MODELS.build(ConfigDict(dict(type=kind) | options))


def build_one(name, **options):
    return MODELS.build(ConfigDict(EVERY[name] | options))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    similarity = 3 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    labels = torch.randint(K, (N,), generator=generator)
    soft = 0.6 * F.one_hot(labels, K) + 0.4 * F.one_hot(labels.roll(1), K)
    weight = torch.rand(N, generator=generator, dtype=torch.float64)
    mask = torch.rand(N, K, generator=generator) < 0.5
    return similarity, labels, soft.double(), weight, mask


def mean_of(equation, similarity, labels, *arguments):
    pairs = zip(similarity.tolist(), labels.tolist())
    return math.fsum(equation(s, y, *arguments) for s, y in pairs) / len(labels)


@pytest.mark.parametrize('tau', [0.0, 0.5, 1.0, 2.0])
def test_balanced_softmax_is_the_printed_one(tau, batch):
    similarity, labels = batch[:2]
    got = build('BalancedSoftmaxLoss', tau=tau)(similarity, labels)
    assert got.item() == pytest.approx(mean_of(dbm.eq_4, similarity, labels, COUNTS, tau), rel=1e-6)


@pytest.mark.parametrize('gamma', [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_is_the_loop(gamma, batch):
    similarity, labels = batch[:2]
    got = build('SoftmaxFocalLoss', gamma=gamma)(similarity, labels)
    assert got.item() == pytest.approx(mean_of(dbm.focal, similarity, labels, gamma), rel=1e-12)


@BOTH
def test_reductions_weights_and_factor(kind, batch):
    similarity, labels, soft, weight, mask = batch
    for target in (labels, soft):
        rows = build(kind, reduction='none')(similarity, target, negative_mask=mask)
        assert rows.shape == (N,)
        for reduction, wanted in [
            ('none', rows * weight),
            ('sum', (rows * weight).sum()),
            ('mean', (rows * weight).sum() / N),
        ]:
            module = build(kind, reduction=reduction, loss_weight=0.3)
            got = module(similarity, target, weight=weight, negative_mask=mask)
            torch.testing.assert_close(got, 0.3 * wanted)
    torch.testing.assert_close(build(kind)(similarity, soft, negative_mask=mask), rows.mean())


def test_the_options_off_are_the_plain_loss(batch):
    similarity, labels, soft, weight, mask = batch
    for module in (
        build('BalancedSoftmaxLoss', tau=0.0),
        build('BalancedSoftmaxLoss', class_counts=[9] * K),
        build('SoftmaxFocalLoss', gamma=0.0),
    ):
        for target in (labels, soft):
            torch.testing.assert_close(
                module(similarity, target, weight=weight, negative_mask=mask),
                func.softmax_pair_loss(similarity, target, weight=weight, negative_mask=mask),
                rtol=1e-6,
                atol=0,
            )


@EACH
def test_one_hot_labels_are_labels(name, batch):
    similarity, labels = batch[:2]
    module = build_one(name)
    one_hot = F.one_hot(labels, K).double()
    torch.testing.assert_close(
        module(similarity, one_hot), module(similarity, labels), rtol=1e-6, atol=0
    )


@EACH
def test_relabelling_the_classes_changes_nothing(name, batch):
    similarity, labels, soft, weight, mask = batch
    order = torch.tensor([2, 0, 3, 1])
    options = {}
    if 'class_counts' in EVERY[name]:
        options['class_counts'] = [COUNTS[k] for k in order]
    one, two = build_one(name), build_one(name, **options)
    for target, relabelled in [(labels, order.argsort()[labels]), (soft, soft[:, order])]:
        torch.testing.assert_close(
            one(similarity, target, weight=weight, negative_mask=mask),
            two(similarity[:, order], relabelled, weight, mask[:, order]),
            rtol=1e-6,
            atol=0,
        )


def test_focal_looks_away_from_what_is_easy():
    similarity = torch.tensor([[5.0, 0.0], [0.0, 5.0]])
    plain, focal = (
        build(kind, reduction='none')(similarity, torch.tensor([0, 0]))
        for kind in ('SoftmaxPairLoss', 'SoftmaxFocalLoss')
    )
    ratio = focal / plain
    assert ratio[0] < 0.01
    assert ratio[1] > 0.99
    assert build('SoftmaxFocalLoss').gamma == 1.0


@pytest.mark.parametrize('counts', [COUNTS, [1, 1, 1, 1], [5000, 1, 1, 1]])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@EACH
def test_extreme_similarities_stay_finite(name, dtype, counts, batch):
    options = {'class_counts': counts} if 'class_counts' in EVERY[name] else {}
    module = build_one(name, **options)
    extremes = torch.tensor([1e4, -1e4, 0.0, 64.0])
    values = torch.stack([extremes.roll(i) for i in range(N)])
    targets = [batch[1], torch.full((N,), 2), batch[2].to(dtype)]
    for target in targets:
        similarity = values.to(dtype).requires_grad_()
        with torch.autocast('cpu', torch.bfloat16 if dtype == torch.float32 else dtype):
            loss = module(similarity, target)
        loss.backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert similarity.grad.isfinite().all()
        assert similarity.grad.abs().sum() > 0


@EACH
def test_gradcheck(name, batch):
    similarity, labels, soft, weight, mask = batch
    module = build_one(name).double()
    for target in (labels, soft):
        torch.autograd.gradcheck(
            lambda s, t=target: module(s, t, weight=weight, negative_mask=mask),
            similarity.requires_grad_(),
        )


@pytest.mark.parametrize('gamma', [0.0, 0.5, 1.0, 2.0])
def test_a_sure_sample_has_no_focal_gradient(gamma):
    similarity = torch.tensor([[1e4, -1e4], [200.0, 0.0]], requires_grad=True)
    loss = build('SoftmaxFocalLoss', gamma=gamma)(similarity, torch.tensor([0, 0]))
    loss.backward()
    assert loss == 0
    assert similarity.grad.isfinite().all()


@EACH
def test_empty_batch_no_trace_in_a_checkpoint_no_wait_for_the_device(name):
    module = build_one(name)
    assert module.state_dict() == {}
    assert list(module.parameters()) == []
    empty = torch.zeros(0, K, requires_grad=True)
    assert module(empty, torch.zeros(0, dtype=torch.int64)) == 0
    similarity = torch.zeros(2, K, device='meta', requires_grad=True)
    target = torch.zeros(2, dtype=torch.int64, device='meta')
    module.to('meta')(similarity, target).backward()
    assert similarity.grad.is_meta


@pytest.mark.parametrize(
    ('kind', 'options', 'message'),
    [
        ('BalancedSoftmaxLoss', dict(tau=-0.5), 'tau must be >= 0, got -0.5'),
        ('BalancedSoftmaxLoss', dict(class_counts=[3, 0]), 'class 1 has 0 training images'),
        ('SoftmaxFocalLoss', dict(gamma=-1), 'gamma must be >= 0, got -1'),
        ('SoftmaxFocalLoss', dict(gamma=math.nan), 'gamma must be >= 0, got nan'),
        ('SoftmaxFocalLoss', dict(reduction='avg'), "reduction must be one of .*, got 'avg'"),
        ('ClassBalancedLoss', dict(class_counts=COUNTS, average='mean'), "average .*got 'mean'"),
    ],
)
def test_bad_options_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        build(kind, **options)


def test_bad_inputs_are_refused(batch):
    similarity, labels = batch[:2]
    for shape in ((N, K + 1), (N, 1), ()):
        with pytest.raises(ValueError, match='class_counts has 4 classes, similarity has shape'):
            build('BalancedSoftmaxLoss')(torch.zeros(shape), labels)
    for name in EVERY:
        with pytest.raises(ValueError, match='target must have shape'):
            build_one(name)(similarity, torch.zeros(N, K - 1, dtype=torch.float64))
    for kind in ('BalancedSoftmaxLoss', 'SoftmaxFocalLoss'):
        with pytest.raises(ValueError, match=r'weight must have shape \(6,\), got \(5,\)'):
            build(kind)(similarity, labels, weight=torch.ones(N - 1))
    with pytest.raises(ValueError, match="reduction must be one of .*, got 'avg'"):
        build('BalancedSoftmaxLoss', reduction='avg')(similarity, labels)
