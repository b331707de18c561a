"""Logits with a margin on the target's cosine or angle."""

import math

import pytest
import torch
import torch.nn.functional as F
from reference import dbm

from mmlt.functional import (
    dbm_class_margin,
    dbm_logits,
    ldam_class_margin,
    ldam_logits,
)

HALVES = [torch.float16, torch.bfloat16]
COUNTS = [30, 500, 2, 80, 1]  # not sorted, as on ImageNet-LT
INSTANCE = pytest.mark.parametrize('instance', ['hard', 'all', 'none'])
N, K = 12, 5
EXTREMES = [1.0, -1.0, 1 + 1e-6, -1 - 1e-6, 1 - 1e-7, -1 + 1e-7]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    cosine = 2 * torch.rand(N, K, generator=generator, dtype=torch.float64) - 1
    labels = torch.randint(K, (N,), generator=generator)
    margin = torch.linspace(0.9, 0.1, K, dtype=torch.float64)
    hard = cosine.gather(1, labels[:, None]).squeeze(1) < cosine.amax(dim=1)
    assert 0 < hard.sum() < N
    return cosine, labels, margin


def reference_logits(cosine, labels, scale, positive):
    rows = []
    for row, y in zip(cosine.tolist(), labels.tolist()):
        theta = dbm.angles(row)
        rows.append(dbm.logits(theta, y, positive(theta, y), scale))
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, *HALVES])
@pytest.mark.parametrize('weight', [0.0, 1.0, 2.5])
@INSTANCE
def test_dbm_logits_match_the_loop(instance, weight, dtype, batch):
    cosine, labels, margin = batch
    cosine = cosine.to(dtype)
    got = dbm_logits(cosine, labels, margin.float(), 20.0, instance, weight)
    wanted_dtype = torch.float32 if dtype in HALVES else dtype
    m = margin.float().tolist()
    wanted = reference_logits(
        cosine, labels, 20.0, lambda theta, y: dbm.eq_9(theta, y, m[y], instance, weight)
    )
    torch.testing.assert_close(got, wanted.to(wanted_dtype), rtol=1e-5, atol=2e-5)
    others = F.one_hot(labels, K) == 0
    assert torch.equal(got[others], (20.0 * cosine.to(wanted_dtype))[others])


def test_table_1_falls_out(batch):
    cosine, labels, margin = batch
    constant = torch.full((K,), 0.35, dtype=torch.float64)
    for got, positive in [
        (ldam_logits(cosine, labels, constant), lambda t, y: dbm.cosface(t, y, 0.35)),
        (
            ldam_logits(cosine, labels, ldam_class_margin(COUNTS)),
            lambda t, y: dbm.ldam(t, y, dbm.ldam_factor(COUNTS, 0.5), COUNTS),
        ),
        (
            dbm_logits(cosine, labels, constant, 30.0, instance_margin='none'),
            lambda t, y: dbm.arcface(t, y, 0.35),
        ),
        (
            dbm_logits(cosine, labels, dbm_class_margin(COUNTS), 30.0),
            lambda t, y: dbm.eq_9(t, y, dbm.eq_6(COUNTS, y, 0.1, 1.0)),
        ),
    ]:
        wanted = reference_logits(cosine, labels, 30.0, positive)
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        dbm_logits(cosine, labels, margin), dbm_logits(cosine, labels, margin, 32.0, 'hard', 1.0)
    )


@INSTANCE
def test_no_margin_is_no_change(instance, batch):
    cosine, labels, _ = batch
    nothing = torch.zeros(K)
    torch.testing.assert_close(
        dbm_logits(cosine, labels, nothing, 7.0, instance_margin=instance), 7.0 * cosine
    )
    torch.testing.assert_close(ldam_logits(cosine, labels, nothing, 7.0), 7.0 * cosine)


@INSTANCE
def test_relabelling_the_classes_changes_nothing(instance, batch):
    cosine, labels, _ = batch
    cosine = torch.cat([cosine, torch.full_like(cosine, 0.3)])  # ties too
    labels = torch.cat([labels, labels])
    order = torch.tensor([3, 0, 4, 1, 2])
    permuted = [COUNTS[k] for k in order]
    for logits, margin in [
        (lambda *args: dbm_logits(*args, instance_margin=instance), dbm_class_margin),
        (ldam_logits, ldam_class_margin),
    ]:
        before = logits(cosine, labels, margin(COUNTS))
        after = logits(cosine[:, order], order.argsort()[labels], margin(permuted))
        torch.testing.assert_close(after, before[:, order], rtol=0, atol=0)


def test_only_a_strictly_nearer_class_makes_a_sample_hard():
    cosine = torch.tensor([[0.5, 0.5], [0.5, 0.5001], [0.5, 0.4999]])
    margin, target = torch.full((2,), 0.1), torch.zeros(3, dtype=torch.int64)
    hard, every, none = (
        dbm_logits(cosine, target, margin, instance_margin=kind)[:, 0]
        for kind in ('hard', 'all', 'none')
    )
    assert torch.equal(hard, torch.stack([none[0], every[1], none[2]]))


@INSTANCE
def test_gradcheck(instance, batch):
    cosine, labels, margin = batch
    # Past pi as well: rows 0 and 1 are far from their class.
    cosine[[0, 1], labels[:2]] = -0.97
    cosine.requires_grad_()
    torch.autograd.gradcheck(
        lambda c: dbm_logits(c, labels, margin, 3.0, instance, 1.5), cosine, atol=1e-6
    )
    torch.autograd.gradcheck(lambda c: ldam_logits(c, labels, margin, 3.0), cosine)


def test_the_gradient_flows_through_the_difficulty():
    cosine = torch.tensor([[0.2, 0.6]], dtype=torch.float64, requires_grad=True)
    m, c = 0.4, 0.2
    logits = dbm_logits(cosine, torch.tensor([0]), torch.full((2,), m), scale=1.0)
    (gradient,) = torch.autograd.grad(logits[0, 0], cosine)
    total = math.acos(c) + m + m * (1 - c) / 2
    # d(theta) / dc = -1 / sin(theta) and d(m_I) / dc = -m / 2
    wanted = math.sin(total) * (1 / math.sqrt(1 - c * c) + m / 2)
    assert gradient[0, 0].item() == pytest.approx(wanted, rel=1e-6)
    assert gradient[0, 1] == 0


@pytest.mark.parametrize('dtype', [torch.float32, *HALVES])
@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('scale', [32.0, 1e4])
@INSTANCE
def test_extreme_cosines_stay_finite(instance, scale, autocast, dtype):
    rows = torch.tensor([[a, b] for a in EXTREMES for b in (*EXTREMES, 0.0)]).to(dtype)
    target = torch.zeros(len(rows), dtype=torch.int64)  # one class only
    for counts in ([1, 1], [5, 1280], [1, 5000]):
        for logits, margin in [
            (lambda *a: dbm_logits(*a, instance_margin=instance), dbm_class_margin(counts)),
            (ldam_logits, ldam_class_margin(counts)),
        ]:
            cosine = rows.clone().requires_grad_()
            amp = torch.bfloat16 if dtype == torch.float32 else dtype
            with torch.autocast('cpu', amp, enabled=autocast):
                got = logits(cosine, target, margin, scale)
                loss = F.cross_entropy(got, target)
            loss.backward()
            assert got.dtype == torch.float32
            assert got.isfinite().all()
            assert loss.isfinite()
            assert cosine.grad.isfinite().all()
            assert (got[:, 0] >= -3.001 * scale).all()


def test_empty_batch_and_single_class():
    margin = torch.full((1,), 0.1)
    for logits in (dbm_logits, ldam_logits):
        assert logits(torch.zeros(0, 1), torch.zeros(0).long(), margin).shape == (0, 1)
        assert logits(torch.zeros(2, 1), torch.zeros(2).long(), margin).shape == (2, 1)


@pytest.mark.parametrize('logits', [dbm_logits, ldam_logits])
def test_nothing_waits_for_the_device(logits):
    # Meta tensors hold no values: whatever reads one on the host, as a GPU sync does, raises.
    cosine = torch.zeros(2, 3, device='meta', requires_grad=True)
    target = torch.zeros(2, dtype=torch.int64, device='meta')
    logits(cosine, target, torch.zeros(3, device='meta')).sum().backward()
    assert cosine.grad.is_meta


@pytest.mark.parametrize('logits', [dbm_logits, ldam_logits])
@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        ({'cosine': torch.zeros(3)}, ValueError, r'cosine must have shape \(N, K\), got \(3,\)'),
        ({'cosine': torch.zeros(2, 3).long()}, TypeError, 'cosine must be floating, got torch.int'),
        ({'target': torch.zeros(2, 3)}, ValueError, r'target .*got \(2, 3\); .*soft labels'),
        ({'target': torch.zeros(3).long()}, ValueError, r'target .*\(2,\), got \(3,\)'),
        ({'target': torch.zeros(2)}, TypeError, 'target must be int64 .*, got torch.float32'),
        ({'class_margin': torch.zeros(2)}, ValueError, r'class_margin .*\(3,\), got \(2,\)'),
        ({'class_margin': torch.zeros(3).long()}, TypeError, 'class_margin must be floating, got'),
        ({'scale': 0.0}, ValueError, 'scale must be positive, got 0.0'),
        ({'scale': math.nan}, ValueError, 'scale must be positive, got nan'),
    ],
)
def test_bad_input_names_the_argument(changes, error, message, logits):
    arguments = {
        'cosine': torch.zeros(2, 3),
        'target': torch.zeros(2).long(),
        'class_margin': torch.zeros(3),
        **changes,
    }
    with pytest.raises(error, match=message):
        logits(**arguments)


def test_bad_angular_options_are_refused(batch):
    cosine, labels, margin = batch
    with pytest.raises(ValueError, match="instance_margin must be one of .*, got 'some'"):
        dbm_logits(cosine, labels, margin, instance_margin='some')
    with pytest.raises(ValueError, match='instance_weight must be >= 0 and finite, got -1'):
        dbm_logits(cosine, labels, margin, instance_weight=-1)
