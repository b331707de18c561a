"""NC1 to NC4 against the loops of the definitions, and at full collapse."""

import pytest
import torch
from reference import bce3s
from reference import neural_collapse as loops

from mmlt.functional.collapse import collapse_measures
from mmlt.functional.geometry import neural_collapse

NAMES = ['nc1', 'nc2_norm_means', 'nc2_angle_means', 'nc2_etf_means']
NAMES += ['nc2_norm_weight', 'nc2_angle_weight', 'nc2_etf_weight', 'nc3', 'nc4']
LABELS = torch.tensor([3, 0, 0, 1, 2, 2, 2, 0, 3, 1, 0, 1, 3, 3])
K = 4


def draw(seed=0, width=6, labels=LABELS, num_classes=K):
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    features = 3 + randn(num_classes, width)[labels] + randn(len(labels), width)
    return features, randn(num_classes, width), randn(num_classes)


def turned(rows, seed=1):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows.shape[1], rows.shape[1], generator=generator, dtype=torch.float64)
    return rows @ torch.linalg.qr(matrix).Q


def assert_same(got, wanted, **tolerance):
    assert list(got) == list(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, msg=lambda m, n=name: f'{n}: {m}', **tolerance)


@pytest.mark.parametrize('width', [2, 3, 6, 20])
@pytest.mark.parametrize('seed', range(3))
def test_all_are_the_loops(seed, width):
    features, weight, bias = draw(seed, width)
    of_class = [features[k == LABELS].tolist() for k in range(K)]
    wanted = loops.all_four(of_class, weight.tolist(), bias.tolist())
    got = neural_collapse(features, LABELS, weight, bias)
    assert list(got) == NAMES
    assert {name: value.item() for name, value in got.items()} == pytest.approx(wanted)
    assert 0 < got['nc4'] < 1
    alone = neural_collapse(features, LABELS, weight)
    assert alone['nc4'].item() == loops.nc4(of_class, weight.tolist(), [0.0] * K)


@pytest.mark.parametrize('num_classes', [2, 3, 10, 1100])  # 1100: cosines in more than one part
def test_all_are_zero_at_full_collapse(num_classes):
    etf = torch.eye(num_classes, dtype=torch.float64) - 1 / num_classes
    labels = torch.arange(num_classes).repeat(2)
    got = neural_collapse(5 * etf[labels] + 0.1, labels, 3 * etf)
    for name, value in got.items():
        assert abs(value) < 1e-9, name


def test_each_is_moved_by_its_own_fault_alone():
    etf = torch.tensor(bce3s.simplex_etf(K), dtype=torch.float64)
    labels = torch.arange(K).repeat(2)
    collapsed = etf[labels]

    def moved(features, weight):
        got = neural_collapse(features, labels, weight)
        return {name for name, value in got.items() if value > 1e-9}

    sign = torch.tensor([1.0, -1.0]).repeat_interleave(K).unsqueeze(1)
    noise = 0.01 * sign * etf.roll(1, 0)[labels]
    assert moved(collapsed + noise, etf) == {'nc1'}
    assert moved(collapsed, -etf) == {'nc3', 'nc4'}
    assert moved(collapsed, turned(etf)) == {'nc3', 'nc4'}
    # A classifier of one more direction: still an ETF's angles once centred, not as it is.
    offset = etf + 0.1
    assert moved(collapsed, offset) == {'nc2_etf_weight', 'nc3'}
    longer = etf * torch.tensor([[1.0], [1.0], [1.0], [1.5]])
    assert moved(collapsed, longer) == {'nc2_norm_weight', 'nc3'}
    # Means do not move a classifier's own figures.
    names = moved(longer[labels], etf)
    assert {'nc2_norm_means', 'nc2_angle_means', 'nc2_etf_means', 'nc3'} <= names
    assert not {name for name in names if name.endswith('weight')}


def test_turning_and_scaling_changes_nothing():
    features, weight, _ = draw()
    wanted = neural_collapse(features, LABELS, weight)
    got = neural_collapse(turned(9 * features), LABELS, turned(weight / 4))
    assert_same(got, wanted)


def test_a_common_offset_moves_only_the_logits():
    features, weight, bias = draw()
    got = neural_collapse(features + 1e3, LABELS, weight, bias - 1e3 * weight.sum(dim=1))
    assert_same(got, neural_collapse(features, LABELS, weight, bias))


def test_means_on_a_line_have_one_direction_between_the_classes():
    line = torch.tensor([[0.3, -0.7, 0.1, 0.9, 0.2, 0.6]], dtype=torch.float64)
    place = torch.tensor([-2.0, -1.0, 0.5, 2.5], dtype=torch.float64).unsqueeze(1)
    cloud = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = torch.cat([cloud - cloud.mean(dim=0) + row for row in place * line])
    got = neural_collapse(features, torch.arange(K).repeat_interleave(50), draw()[1])
    along = cloud @ line[0]
    wanted = along.var(correction=0) / (place * line.square().sum()).square().sum()
    torch.testing.assert_close(got['nc1'], wanted)


def test_relabelling_the_classes_changes_nothing():
    features, weight, bias = draw()
    order = torch.tensor([2, 0, 3, 1])
    got = neural_collapse(features, order.argsort()[LABELS], weight[order], bias[order])
    assert_same(got, neural_collapse(features, LABELS, weight, bias))


def test_absent_classes_and_their_vectors_are_left_out():
    features, weight, bias = draw()
    wide = torch.full((2 * K, 6), 1e3, dtype=torch.float64).index_copy(
        0, torch.arange(0, 2 * K, 2), weight
    )
    wide_bias = torch.full((2 * K,), 1e6, dtype=torch.float64)
    wide_bias[::2] = bias
    got = neural_collapse(features, 2 * LABELS, wide, wide_bias)
    assert_same(got, neural_collapse(features, LABELS, weight, bias))


def test_spread_far_below_the_means_is_not_lost_in_them():
    # A difference of squares would leave nothing of a spread of 1e-9.
    features, weight, _ = draw()
    means = torch.stack([features[k == LABELS].mean(dim=0) for k in range(K)])
    spread = features - means[LABELS]
    near = neural_collapse(1e3 * means[LABELS] + 1e-6 * spread, LABELS, weight)['nc1']
    wanted = neural_collapse(features, LABELS, weight)['nc1']
    assert near.item() * 1e18 == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_low_precision_is_that_of_the_input_only(dtype):
    features, weight, bias = (part.to(dtype) for part in draw())
    got = neural_collapse(features, LABELS, weight, bias)
    assert_same(got, neural_collapse(features.double(), LABELS, weight.double(), bias.double()))


def test_where_nothing_is_left_to_compare_it_is_nan():
    one = neural_collapse(torch.randn(3, 2), torch.zeros(3, dtype=torch.int64), torch.ones(1, 2))
    numbers = {name: value.item() for name, value in one.items() if not value.isnan()}
    assert numbers == {'nc4': 0}
    equal = neural_collapse(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]), torch.eye(2))
    for name in ('nc1', 'nc2_norm_means', 'nc2_angle_means', 'nc2_etf_means', 'nc3'):
        assert equal[name].isnan(), name
    nothing = neural_collapse(torch.ones(0, 2), torch.zeros(0, dtype=torch.int64), torch.eye(2))
    assert all(value.isnan() for value in nothing.values())


def test_the_moments_alone_give_the_same():
    features, weight, _ = draw()
    means = torch.stack([features[k == LABELS].mean(dim=0) for k in range(K)])
    rows = features - means[LABELS]
    got = collapse_measures(means, rows.T @ rows / len(rows), weight)
    wanted = neural_collapse(features, LABELS, weight)
    assert_same(got, {name: wanted[name] for name in NAMES[:-1]})


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(weight=torch.ones(3)), ValueError, r'weight must have shape \(K, D\)'),
        (dict(weight=torch.ones(K, 5)), ValueError, r'weight must have shape \(4, 6\), got .*5\)'),
        (dict(weight=torch.ones(2, 6)), ValueError, r'labels must be in \[0, 2\)'),
        (dict(bias=torch.ones(3)), ValueError, r'bias must have shape \(4,\), got \(3,\)'),
        (dict(features=torch.ones(14)), ValueError, r'features must have shape \(N, D\)'),
        (
            dict(labels=LABELS.int()),
            TypeError,
            'labels must be int64 class labels, got torch.int32',
        ),
        (dict(features=torch.ones(14, 6) / 0), ValueError, 'needs finite features'),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    features, weight, _ = draw()
    with pytest.raises(error, match=message):
        neural_collapse(**dict(features=features, labels=LABELS, weight=weight) | options)
