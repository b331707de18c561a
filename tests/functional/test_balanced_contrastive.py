"""The contrastive losses of a batch against loops over the printed equations."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from reference import bcl
from torch._subclasses import FakeTensorMode

from mmlt.functional import balanced_contrastive_loss, supervised_contrastive_loss

HALVES = [torch.float16, torch.bfloat16]
K, D = 5, 3
# Whether there are prototypes, the options, and the equation of anchor i.
CASES = {
    'eq. 1': (False, dict(class_averaging=False), lambda i, z, y, p, t: bcl.eq_1(i, z, y, t)),
    'complement': (
        True,
        dict(class_averaging=False),
        lambda i, z, y, p, t: bcl.eq_1(i, *bcl.complement(z, y, p), t),
    ),
    'eq. 6': (False, dict(), lambda i, z, y, p, t: bcl.eq_6(i, z, y, t)),
    'eq. 7': (False, dict(form='L2'), lambda i, z, y, p, t: bcl.eq_7(i, z, y, t)),
    'eq. 7 with prototypes': (
        True,
        dict(form='L2'),
        lambda i, z, y, p, t: bcl.eq_7(i, *bcl.complement(z, y, p), t),
    ),
    'eq. 8': (True, dict(form='L3'), bcl.eq_8),
    'eq. 9': (True, dict(), bcl.eq_9),
}
EVERY = pytest.mark.parametrize('case', list(CASES))
# One class, singletons, absent classes, a single sample, every class there.
LABELS = [[2, 2, 2], [4, 0, 1], [3, 3, 0, 3, 1], [1], [0, 4, 2, 1, 3, 4]]


def draw(labels, num_views, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(len(labels) * num_views + K, D, generator=generator, dtype=torch.float64)
    rows = F.normalize(rows, dim=1).to(dtype)
    features = rows[K:].view(len(labels), num_views, D)
    return features, torch.tensor(labels, dtype=torch.int64), rows[:K]


def compute(case, features, target, prototypes, temperature, **options):
    complement, form, _ = CASES[case]
    prototypes = prototypes if complement else None
    return balanced_contrastive_loss(features, target, prototypes, temperature, **form, **options)


def loop(case, features, target, prototypes, temperature):
    n, v, _ = features.shape
    z, y = features.flatten(0, 1).tolist(), target.repeat_interleave(v).tolist()
    equation, p = CASES[case][2], prototypes.tolist()
    rows = [equation(i, z, y, p, temperature) for i in range(n * v)]
    return torch.tensor(rows, dtype=torch.float64).view(n, v)


@EVERY
@given(
    labels=st.lists(st.integers(0, K - 1), min_size=1, max_size=6),
    num_views=st.integers(1, 3),
    temperature=st.sampled_from([1.0, 0.1, 0.01]),
    seed=st.integers(0, 99),
)
def test_any_batch_matches_the_loop(case, labels, num_views, temperature, seed):
    batch = draw(labels, num_views, seed)
    got = compute(case, *batch, temperature, reduction='none')
    torch.testing.assert_close(got, loop(case, *batch, temperature))


@pytest.mark.parametrize('dtype', [torch.float32, *HALVES])
@pytest.mark.parametrize('autocast', [False, True])
@EVERY
def test_float32_and_less_match_the_loop(case, autocast, dtype):
    batch = draw(LABELS[2], 2, dtype=dtype)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        got = compute(case, *batch, 0.1, reduction='none')
    # Half inputs are exact in float32, so they owe no more than float32 does.
    torch.testing.assert_close(got, loop(case, *batch, 0.1).float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('labels', LABELS)
@pytest.mark.parametrize('num_views', [1, 2])
def test_equation_9_is_the_released_one_not_the_printed_one(num_views, labels):
    features, target, prototypes = batch = draw(labels, num_views)
    z, y = features.flatten(0, 1).tolist(), target.repeat_interleave(num_views).tolist()
    printed = [bcl.eq_9(i, z, y, prototypes.tolist(), 0.5, released=False) for i in range(len(z))]
    got = compute('eq. 9', *batch, 0.5, reduction='none')
    torch.testing.assert_close(got, loop('eq. 9', *batch, 0.5))
    assert (torch.tensor(printed).view_as(got) - got).abs().min() > 1e-3
    # The code's is L1 on a batch that holds the prototypes.
    whole = bcl.complement(z, y, prototypes.tolist())
    wanted = torch.tensor([bcl.eq_6(i, *whole, 0.5) for i in range(len(z))], dtype=torch.float64)
    torch.testing.assert_close(got.flatten(), wanted)


@pytest.mark.parametrize('labels', LABELS)
def test_a_class_of_one_sample_has_no_supervised_contrast(labels):
    features, target, _ = draw(labels, 1)
    rows = supervised_contrastive_loss(features, target, 0.1, reduction='none').flatten()
    z = features.flatten(0, 1).tolist()
    for c in range(K):
        wanted = bcl.eq_2(c, z, labels, 0.1)
        assert rows[target == c].sum().item() == pytest.approx(wanted, rel=1e-12)
    averaged = balanced_contrastive_loss(features, target, None, 0.1, reduction='none').flatten()
    single = torch.tensor([labels.count(c) == 1 for c in labels])
    assert not rows[single].any()
    assert not averaged[single].any()
    assert (rows[~single] > 0).all()


@pytest.mark.parametrize('labels', LABELS)
@pytest.mark.parametrize('complement', [False, True])
def test_averaging_outside_is_never_below_averaging_inside(complement, labels):
    suffix = ' with prototypes' if complement else ''
    for seed in range(20):
        batch = draw(labels, 2, seed)
        outside = compute('eq. 9' if complement else 'eq. 6', *batch, 0.2, reduction='none')
        inside = compute('eq. 7' + suffix, *batch, 0.2, reduction='none')
        assert (outside >= inside - 1e-12).all()


@pytest.mark.parametrize('case', ['eq. 8', 'eq. 9', 'eq. 7 with prototypes'])
def test_a_simplex_has_the_lower_bound_for_every_class_whatever_its_size(case):
    vertices = torch.tensor(bcl.simplex(4), dtype=torch.float64)
    target = torch.tensor([0, 0, 0, 0, 1, 1, 2])  # class 3 is absent
    features = vertices[target].unsqueeze(1).repeat(1, 2, 1)
    rows = compute(case, features, target, vertices, 1.0, reduction='none')
    torch.testing.assert_close(rows, torch.full_like(rows, bcl.eq_5(4)))
    plain = supervised_contrastive_loss(features, target, 1.0, reduction='none')
    assert plain.max() - plain.min() > 0.1


def test_a_simplex_is_a_minimum_on_a_balanced_batch():
    vertices = torch.tensor(bcl.simplex(3), dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    items = [vertices[target].unsqueeze(1).repeat(1, 2, 1), vertices.clone()]
    leaves = [x.requires_grad_() for x in items]
    loss = balanced_contrastive_loss(leaves[0], target, leaves[1], 1.0)
    assert loss.item() == pytest.approx(bcl.eq_5(3), rel=1e-12)
    for x, gradient in zip(leaves, torch.autograd.grad(loss, leaves)):
        tangent = gradient - (gradient * x).sum(-1, keepdim=True) * x
        assert tangent.abs().max() < 1e-12
    generator = torch.Generator().manual_seed(0)
    for scale in [0.01, 0.1, 1.0, 10.0] * 10:
        moved = []
        for x in items:
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            moved.append(F.normalize(x + scale * noise, dim=-1))
        assert balanced_contrastive_loss(moved[0], target, moved[1], 1.0) > bcl.eq_5(3)


@EVERY
@pytest.mark.parametrize('labels', LABELS)
def test_relabelling_the_classes_changes_nothing(labels, case):
    features, target, prototypes = draw(labels, 2)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        compute(case, features, order.argsort()[target], prototypes[order], 0.1, reduction='none'),
        compute(case, features, target, prototypes, 0.1, reduction='none'),
    )


@EVERY
def test_the_order_of_samples_and_views_changes_nothing(case):
    features, target, prototypes = draw(LABELS[2], 3)
    rows = compute(case, features, target, prototypes, 0.1, reduction='none')
    order, views = torch.tensor([4, 2, 0, 3, 1]), torch.tensor([1, 2, 0])
    moved = features[order][:, views]
    got = compute(case, moved, target[order], prototypes, 0.1, reduction='none')
    torch.testing.assert_close(got, rows[order][:, views])


@EVERY
def test_reductions_agree(case):
    batch = draw(LABELS[2], 2)
    rows = compute(case, *batch, 0.1, reduction='none')
    assert rows.shape == (5, 2)
    torch.testing.assert_close(compute(case, *batch, 0.1, reduction='sum'), rows.sum())
    torch.testing.assert_close(compute(case, *batch, 0.1), rows.mean())


@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
def test_supervised_contrast_is_the_balanced_one_with_all_off(reduction):
    features, target, _ = draw(LABELS[2], 2)
    got = supervised_contrastive_loss(features, target, 0.1, reduction=reduction)
    wanted = loop('eq. 1', features, target, torch.zeros(0), 0.1)
    reduced = {'mean': wanted.mean(), 'sum': wanted.sum(), 'none': wanted}
    torch.testing.assert_close(got, reduced[reduction])


@EVERY
@pytest.mark.parametrize(('labels', 'num_views'), [([2, 2], 1), ([1], 1), ([3, 0, 3, 1], 2)])
def test_gradcheck(labels, num_views, case):
    features, target, prototypes = draw(labels, num_views)
    leaves = (features.clone().requires_grad_(), prototypes.clone().requires_grad_())
    torch.autograd.gradcheck(
        lambda z, p: (
            compute(case, z, target, p, 0.3, reduction='none')
            # Keeps the prototypes in the graph of the cases without.
            + 0 * p.sum()
        ),
        leaves,
    )


@EVERY
@pytest.mark.parametrize('kind', ['random', 'equal', 'opposite'])
@pytest.mark.parametrize('temperature', [1e-3, 1.0, 1e3])
@pytest.mark.parametrize('dtype', [torch.float32, *HALVES])
def test_extremes_stay_finite(dtype, temperature, kind, case):
    for labels in LABELS:
        for num_views in (1, 2):
            features, target, prototypes = draw(labels, num_views, dtype=dtype)
            if kind != 'random':
                row = prototypes[0]
                features = row.expand_as(features).clone()
                prototypes = (row if kind == 'equal' else -row).expand_as(prototypes).clone()
            leaves = (features.requires_grad_(), prototypes.requires_grad_())
            with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
                got = compute(case, features, target, prototypes, temperature, reduction='none')
            wanted = loop(case, features.detach(), target, prototypes.detach(), temperature)
            assert got.dtype == torch.float32
            # Rounding a similarity near 1 / tau costs about its last digits, a few times over.
            atol = max(1e-5, 1e-6 / temperature)
            torch.testing.assert_close(got, wanted.float(), rtol=1e-5, atol=atol)
            for gradient in torch.autograd.grad(got.mean(), leaves, allow_unused=True):
                # Not needed: the prototypes, where the case has none.
                assert gradient is None or gradient.isfinite().all()
                assert gradient is None or gradient.norm(dim=-1).max() <= 4 / temperature


def test_the_wider_dtype_wins():
    features, target, prototypes = draw(LABELS[2], 2, dtype=torch.float32)
    mixed = balanced_contrastive_loss(features.bfloat16(), target, prototypes.double(), 0.1)
    wanted = loop('eq. 9', features.bfloat16(), target, prototypes, 0.1).mean()
    torch.testing.assert_close(mixed, wanted)


@EVERY
@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
def test_an_empty_batch_has_loss_zero_and_a_gradient(reduction, case):
    features = torch.zeros(0, 2, D, requires_grad=True)
    target = torch.zeros(0, dtype=torch.int64)
    prototypes = torch.eye(K, D, requires_grad=True)
    loss = compute(case, features, target, prototypes, 0.1, reduction=reduction)
    loss.sum().backward()
    assert loss.shape == ((0, 2) if reduction == 'none' else ())
    assert loss.sum() == 0
    assert features.grad.shape == features.shape
    assert prototypes.grad is None or not prototypes.grad.any()


@EVERY
def test_nothing_waits_for_the_device(case):
    # Fake tensors hold no values: whatever reads one on the host, as a GPU sync does, raises.
    with FakeTensorMode():
        features = torch.zeros(4, 2, D, requires_grad=True)
        target = torch.zeros(4, dtype=torch.int64)
        loss = compute(case, features, target, torch.zeros(K, D), 0.1)
        (gradient,) = torch.autograd.grad(loss, features)
    assert gradient.shape == features.shape


def test_a_label_outside_the_prototypes_is_an_error_on_the_cpu():
    for label in (-1, K):
        features, target, prototypes = draw([0, label], 2)
        for form in ('L1', 'L2', 'L3'):
            with pytest.raises(IndexError):
                balanced_contrastive_loss(features, target, prototypes, 0.1, form=form)


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        ({'features': torch.ones(4, D)}, ValueError, r'features .* \(N, V, d\), got \(4, 3\)'),
        ({'features': torch.ones(4, 2, D).long()}, TypeError, 'features must be floating, got'),
        (
            {'target': torch.ones(4, K)},
            ValueError,
            r'target must have shape \(4,\), got \(4, 5\); soft',
        ),
        (
            {'target': torch.ones(3).long()},
            ValueError,
            r'target must have shape \(4,\), got \(3,\)',
        ),
        ({'target': torch.ones(4)}, TypeError, 'target must be int64 .*, got torch.float32'),
        ({'prototypes': torch.ones(K, 2)}, ValueError, r'prototypes .* \(K, 3\), got \(5, 2\)'),
        ({'prototypes': torch.ones(D)}, ValueError, r'prototypes .* \(K, 3\), got \(3,\)'),
        ({'prototypes': torch.ones(K, D).int()}, TypeError, 'prototypes must be floating, got'),
        ({'temperature': 0.0}, ValueError, 'temperature must be positive, got 0.0'),
        ({'temperature': -0.1}, ValueError, 'temperature must be positive, got -0.1'),
        ({'temperature': math.nan}, ValueError, 'temperature must be positive, got nan'),
        ({'form': 'L4'}, ValueError, "form must be one of .*, got 'L4'"),
        ({'form': 'L2', 'class_averaging': False}, ValueError, "'L2' needs class_averaging=True"),
        ({'form': 'L3', 'class_averaging': False}, ValueError, "'L3' needs class_averaging=True"),
        ({'form': 'L3', 'prototypes': None}, ValueError, "form 'L3' needs prototypes"),
        ({'reduction': 'avg'}, ValueError, "reduction must be one of .*, got 'avg'"),
    ],
)
def test_bad_input_names_the_argument(changes, error, message):
    arguments = {
        'features': torch.ones(4, 2, D),
        'target': torch.zeros(4, dtype=torch.int64),
        'prototypes': torch.ones(K, D),
        'temperature': 0.1,
    }
    with pytest.raises(error, match=message):
        balanced_contrastive_loss(**{**arguments, **changes})
