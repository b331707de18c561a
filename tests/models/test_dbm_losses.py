"""DBM's margin before each criterion, and the two averages of the class-balanced one."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmpretrain.registry import MODELS
from reference import bce3s, dbm

N, K = 6, 4
COUNTS = [30, 500, 2, 80]  # not sorted, as on ImageNet-LT


def build(kind, /, **options):
    return MODELS.build(ConfigDict(dict(type=kind) | options))


def weighted(average='weights', criterion='SoftmaxPairLoss', **options):
    options = dict(class_counts=COUNTS) | options
    criterion = dict(type=criterion) if isinstance(criterion, str) else criterion
    return build('ClassBalancedLoss', average=average, criterion=criterion, **options)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    similarity = 3 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    return similarity, torch.randint(K, (N,), generator=generator)


@pytest.mark.parametrize('kind', ['DBM-CE', 'DBM-BS', 'DBM-CB'])
def test_the_dbm_losses_are_the_printed_ones(kind, batch):
    cosine, labels = (batch[0] / 10).clamp(-1, 1), batch[1]
    criterion = {
        'DBM-CE': lambda: build('SoftmaxPairLoss'),
        'DBM-BS': lambda: build('BalancedSoftmaxLoss', class_counts=COUNTS),
        'DBM-CB': lambda: weighted('samples', beta=0.99, normalize=False),
    }[kind]()
    total = 0.0
    for row, y in zip(cosine.tolist(), labels.tolist()):
        theta, m = dbm.angles(row), dbm.eq_6(COUNTS, y, 0.3, 1.0)
        if kind == 'DBM-CE':
            total += dbm.eq_5(theta, y, dbm.eq_9(theta, y, m), 32.0)
        elif kind == 'DBM-BS':
            total += dbm.eq_11(theta, y, m, 32.0, COUNTS)
        else:
            total += dbm.eq_10(theta, y, m, 32.0, COUNTS, 0.99)
    logits = build('DBMMargin', class_counts=COUNTS, max_margin=0.3)(cosine, labels, 32.0)
    assert criterion(logits, labels).item() == pytest.approx(total / N, rel=1e-6)


@pytest.mark.parametrize('reduction', ['sum', 'none'])
def test_weights_that_nothing_is_divided_by_are_refused(reduction):
    with pytest.raises(ValueError, match=f"is a mean, but criterion.reduction is '{reduction}'"):
        weighted(criterion=dict(type='SoftmaxPairLoss', reduction=reduction))


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('criterion', ['SoftmaxPairLoss', 'SigmoidPairLoss'])
def test_the_average_over_weights(criterion, normalize, batch):
    similarity, labels = batch
    equation = bce3s.eq_22 if criterion == 'SoftmaxPairLoss' else bce3s.eq_3
    w = [dbm.class_balance(COUNTS[y], 0.99) for y in labels.tolist()]
    losses = [equation(s, y) for s, y in zip(similarity.tolist(), labels.tolist())]
    module = weighted(criterion=criterion, beta=0.99, normalize=normalize)
    got = module(similarity, labels)
    wanted = math.fsum(a * b for a, b in zip(w, losses)) / math.fsum(w)
    assert got.item() == pytest.approx(wanted, rel=1e-6)
    weight = torch.linspace(0.1, 2, N)
    w = [a * b for a, b in zip(w, weight.tolist())]
    wanted = math.fsum(a * b for a, b in zip(w, losses)) / math.fsum(w)
    got = module(similarity, labels, weight=weight)
    assert got.item() == pytest.approx(wanted, rel=1e-6)
    # A batch without weight has no loss.
    for target in (labels, F.one_hot(labels, K).double()):
        leaf = similarity.clone().requires_grad_()
        nothing = module(leaf, target, weight=torch.zeros(N))
        nothing.backward()
        assert nothing == 0
        assert leaf.grad.abs().sum() == 0


def test_the_average_over_weights_is_torchs(batch):
    similarity, labels = batch[0].float(), batch[1]
    module = weighted()
    wanted = F.cross_entropy(similarity, labels, weight=module.class_weight)
    torch.testing.assert_close(module(similarity, labels), wanted)
    # One class in the batch: its weight cancels.
    same = torch.full_like(labels, 2)
    torch.testing.assert_close(module(similarity, same), F.cross_entropy(similarity, same))
    default = build('ClassBalancedLoss', class_counts=COUNTS)
    assert default.average == 'samples'
