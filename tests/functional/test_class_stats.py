"""Class-count profiles, weights, priors, shot groups and shot accuracy."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import bce3s
from scipy import stats
from sklearn import metrics

from mmlt.functional import (
    class_log_prior,
    effective_number_weights,
    exponential_class_counts,
    sampling_probabilities,
    shifted_class_counts,
    shot_accuracy,
    shot_groups,
    sigmoid_pair_loss,
    softmax_pair_loss,
    step_class_counts,
    validation_counts,
)


@pytest.mark.parametrize(
    ('classes', 'largest', 'factor', 'total', 'smallest'),
    [
        (10, 5000, 100, 12406, 50),
        (100, 500, 100, 10847, 5),
        (10, 5000, 10, 20431, 500),
        (100, 500, 10, 19573, 50),
        (10, 5000, 50, 13996, 100),
        (100, 500, 50, 12608, 10),
    ],
)
def test_the_cifar_profiles(classes, largest, factor, total, smallest):
    counts = exponential_class_counts(classes, largest, factor)
    assert len(counts) == classes
    assert (sum(counts), counts[0], counts[-1]) == (total, largest, smallest)
    assert counts == sorted(counts, reverse=True)
    assert all(type(count) is int for count in counts)


@given(st.integers(1, 300), st.integers(1, 5000), st.data())
def test_profiles_are_within_rounding_of_the_formula(classes, largest, data):
    factor = data.draw(st.integers(1, largest))
    counts = exponential_class_counts(classes, largest, factor)
    for k, count in enumerate(counts):
        exact = largest * factor ** (-k / max(classes - 1, 1))
        assert count >= 1
        assert exact - 1 - 1e-9 <= count <= exact + 1e-9
    steps = step_class_counts(classes, largest, factor)
    assert len(steps) == classes
    assert set(steps) <= {largest, largest // factor}
    assert steps[: max(classes // 2, 1)] == [largest] * max(classes // 2, 1)


def test_step_profile_and_single_class():
    assert step_class_counts(5, 500, 100) == [500, 500, 5, 5, 5]
    assert exponential_class_counts(1, 7, 3) == step_class_counts(1, 7, 3) == [7]
    assert exponential_class_counts(2, 49, 49) == [49, 1]  # 49 * (1 / 49) is below 1


@pytest.mark.parametrize('profile', [exponential_class_counts, step_class_counts])
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((0, 5, 1), 'num_classes must be at least 1, got 0'),
        ((3, 5, 0.5), 'imbalance_factor must be at least 1, got 0.5'),
        ((3, 5, math.nan), 'imbalance_factor must be at least 1, got nan'),
        ((3, 5, 10), r'max_count must be at least imbalance_factor \(10\).*got 5'),
    ],
)
def test_bad_profiles_are_refused(arguments, message, profile):
    with pytest.raises(ValueError, match=message):
        profile(*arguments)


@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=40),
    st.floats(0.001, 0.999),
)
def test_validation_takes_its_share_and_leaves_an_image(counts, fraction):
    for count, taken in zip(counts, validation_counts(counts, fraction), strict=True):
        assert type(taken) is int
        assert 0 <= taken <= count - 1
        if taken < count - 1:
            assert abs(taken - count * fraction) <= 0.5 + 1e-9
        else:
            assert taken <= count * fraction + 0.5 + 1e-9


def test_validation_rounds_halves_up():
    assert validation_counts([1, 4, 5, 14, 15, 25], 0.1) == [0, 0, 1, 1, 2, 3]
    assert validation_counts(torch.tensor([1, 2, 3]), 0.9) == [0, 1, 2]


@pytest.mark.parametrize('fraction', [0, 1, -0.1, 10, math.nan])
def test_bad_validation_fraction_is_refused(fraction):
    with pytest.raises(ValueError, match=r'val_fraction must be in \(0, 1\), got'):
        validation_counts([3, 4], fraction)


@pytest.mark.parametrize('ratio', [1, 2, 5, 10, 25, 50])
@pytest.mark.parametrize('direction', ['forward', 'backward'])
def test_shifted_counts_follow_the_formula_rank_by_rank(ratio, direction):
    training = [30, 500, 7, 90, 30, 1]  # two classes of one size
    got = shifted_class_counts(training, 100, ratio, direction)
    order = sorted(range(6), key=lambda k: (-training[k], k))
    if direction == 'backward':
        order.reverse()
    for rank, k in enumerate(order):
        exact = 100 * ratio ** (-rank / 5)
        assert type(got[k]) is int
        assert exact - 1 - 1e-9 <= got[k] <= exact + 1e-9
    assert max(got) == 100
    assert min(got) == 100 // ratio


def test_shifted_counts_of_the_published_protocol():
    forward = shifted_class_counts(list(range(1000, 0, -1)), 50, 50, 'forward')
    assert (forward[0], forward[-1]) == (50, 1)
    assert shifted_class_counts(range(100), 100, 50, 'uniform') == [100] * 100
    assert shifted_class_counts([8, 9], 10, 50, 'forward') == [1, 10]  # no class is empty
    assert shifted_class_counts([5], 10, 50, 'backward') == [10]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((100, 2, 'sideways'), "direction must be one of .*'uniform'.* got 'sideways'"),
        ((100, 0.5, 'forward'), 'ratio must be at least 1 and finite, got 0.5'),
        ((100, math.nan, 'forward'), 'ratio must be at least 1 and finite, got nan'),
        ((0, 2, 'forward'), 'max_count must be at least 1, got 0'),
    ],
)
def test_bad_shifts_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        shifted_class_counts([3, 4], *arguments)


@pytest.mark.parametrize('power', [0, 0.5, 1, 1.5, 2])
def test_sampling_probabilities_are_the_quotient(power):
    counts = [60, 25, 0, 9, 5, 1]
    weights = [sum(n**-power for _ in range(n)) for n in counts]
    got = sampling_probabilities(counts, power)
    assert got.tolist() == pytest.approx([w / sum(weights) for w in weights], rel=1e-12)


def test_extreme_powers_overflow_nothing_and_bad_ones_are_refused():
    assert sampling_probabilities([10**9, 1], 1e300).tolist() == [0, 1]
    for power in (-0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match='power must be >= 0 and finite, got'):
            sampling_probabilities([1], power)
    with pytest.raises(ValueError, match='must not be 0 for all classes'):
        sampling_probabilities([0, 0], 1)


@pytest.mark.parametrize(
    'function',
    [
        lambda counts: validation_counts(counts, 0.3),
        lambda counts: shifted_class_counts(counts, 100, 20, 'forward'),
        lambda counts: shifted_class_counts(counts, 100, 20, 'backward'),
        lambda counts: sampling_probabilities(counts, 0.7).tolist(),
    ],
)
@given(data=st.data())
def test_renamed_classes_keep_their_counts(function, data):
    counts = data.draw(st.lists(st.integers(1, 900), min_size=1, max_size=12, unique=True))
    order = data.draw(st.permutations(range(len(counts))))
    before = function(counts)
    renamed = function([counts[k] for k in order])
    assert renamed == pytest.approx([before[k] for k in order], rel=1e-12)


def exact_weight(n, beta):
    """In rational arithmetic, from the float that beta really is."""
    beta = Fraction(beta)
    return float((1 - beta) / (1 - beta**n))


@pytest.mark.parametrize('beta', [0.0, 0.5, 0.9, 0.9999, 0.99999])
def test_effective_number_weights_are_exact(beta):
    counts = [1, 2, 3, 10, 100]
    wanted = torch.tensor([exact_weight(n, beta) for n in counts])
    raw = effective_number_weights(counts, beta, normalize=False)
    torch.testing.assert_close(raw, wanted, rtol=2e-7, atol=0)
    normalized = effective_number_weights(torch.tensor(counts), beta)
    torch.testing.assert_close(normalized, wanted * 5 / wanted.sum(), rtol=4e-7, atol=0)


def test_effective_number_weights_of_large_classes():
    beta, counts = 0.99999, [1000, 10**6]
    wanted = [bce3s.class_balance(n, beta) for n in counts]
    got = effective_number_weights(counts, beta, normalize=False)
    assert got.tolist() == pytest.approx(wanted, rel=1e-7)
    assert effective_number_weights([1], beta).tolist() == [1]
    torch.testing.assert_close(effective_number_weights([7] * 4, 0.999), torch.ones(4))


@pytest.mark.parametrize(
    ('pair_loss', 'equation'),
    [(softmax_pair_loss, bce3s.eq_26), (sigmoid_pair_loss, bce3s.eq_35)],
)
def test_weighted_losses_are_equations_26_and_35(pair_loss, equation):
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels, counts = torch.tensor([0, 0, 0, 1, 2, 0]), [200, 30, 4]
    weights = effective_number_weights(counts, 0.99, normalize=False)
    got = pair_loss(logits, labels, weight=weights[labels])
    wanted = equation(logits.tolist(), labels.tolist(), counts, 0.99)
    assert got.item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize('beta', [-0.1, 1, 1.5, math.nan])
def test_bad_beta_is_refused(beta):
    with pytest.raises(ValueError, match=r'beta must be in \[0, 1\), got'):
        effective_number_weights([1, 2], beta)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
def test_log_prior_is_the_log_of_a_distribution(counts):
    prior = class_log_prior(counts)
    wanted = np.log(np.array(counts) / np.sum(counts))
    np.testing.assert_allclose(prior.numpy(), wanted, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    'function',
    [class_log_prior, lambda counts: effective_number_weights(counts, 0.9)],
)
def test_empty_classes_are_refused(function):
    with pytest.raises(ValueError, match='class_counts must be at least 1 .*got 0 for class 2'):
        function([3, 1, 0])
    with pytest.raises(ValueError, match=r'class_counts must have shape \(K,\).*got \(0,\)'):
        function([])
    with pytest.raises(ValueError, match=r'class_counts must have shape \(K,\).*got \(1, 2\)'):
        function(torch.ones(1, 2))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40))
def test_every_class_is_in_one_group(counts):
    groups = shot_groups(counts)
    assert torch.stack(list(groups.values())).sum(dim=0).tolist() == [1] * len(counts)
    assert groups['many'].tolist() == [n > 100 for n in counts]
    assert groups['few'].tolist() == [n < 20 for n in counts]


def test_group_bounds_are_checked():
    assert shot_groups([6, 5, 4], many=5, few=5)['medium'].tolist() == [False, True, False]
    with pytest.raises(ValueError, match='few must not exceed many, got few=6, many=5'):
        shot_groups([1], many=5, few=6)
    with pytest.raises(ValueError, match='class_counts must be at least 0 .*got -1 for class 1'):
        shot_groups([3, -1])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60))
def test_shot_accuracy_matches_scikit_learn(pairs):
    predictions, labels = (list(column) for column in zip(*pairs))
    counts = [500, 101, 100, 20, 19, 1]
    got = shot_accuracy(predictions, torch.tensor(labels), counts)
    seen = sorted(set(labels))
    recall = metrics.recall_score(labels, predictions, labels=seen, average=None, zero_division=0)
    recall = dict(zip(seen, recall))
    assert got['all'] == pytest.approx(metrics.accuracy_score(labels, predictions))
    assert got['all_macro'] == pytest.approx(np.mean(list(recall.values())))
    assert got['worst'] == pytest.approx(min(recall.values()))
    assert got['harmonic'] == pytest.approx(stats.hmean(list(recall.values())))
    wanted = [recall.get(k, math.nan) for k in range(6)]
    assert got['per_class'].tolist() == pytest.approx(wanted, nan_ok=True)
    for name, classes in [('many', [0, 1]), ('medium', [2, 3]), ('few', [4, 5])]:
        values = [recall[k] for k in classes if k in recall]
        mean = sum(values) / len(values) if values else math.nan
        assert got[name] == pytest.approx(mean, nan_ok=True)


def test_shot_accuracy_of_nothing_is_nan():
    got = shot_accuracy([], [], [200, 5])
    assert all(math.isnan(value) for name, value in got.items() if name != 'per_class')
    assert got['per_class'].isnan().all()


def test_relabelling_the_classes_changes_no_summary():
    generator, counts = torch.Generator().manual_seed(0), torch.tensor([500, 150, 60, 30, 5, 2])
    labels, predictions = torch.randint(6, (2, 200), generator=generator)
    order = torch.tensor([5, 2, 0, 4, 1, 3])
    new = order.argsort()
    before = shot_accuracy(predictions, labels, counts)
    after = shot_accuracy(new[predictions], new[labels], counts[order])
    torch.testing.assert_close(after.pop('per_class'), before.pop('per_class')[order])
    assert after == pytest.approx(before, rel=1e-14)


@pytest.mark.parametrize(
    ('predictions', 'labels', 'error', 'message'),
    [
        ([0], [0, 1], ValueError, r'predictions and labels must .* got \(1,\) and \(2,\)'),
        ([0, 0], [0, 2], ValueError, r'labels must be in \[0, 2\), got values in \[0, 2\]'),
        ([0, 0], [-1, 0], ValueError, r'labels must be in \[0, 2\), got values in \[-1, 0\]'),
        ([[0, 0]], [0], ValueError, r'predictions must have shape \(N,\), got \(1, 2\)'),
        ([0.5], [0], TypeError, 'predictions must be integer classes, got torch.float32'),
        ([0], [True], TypeError, 'labels must be integer classes, got torch.bool'),
    ],
)
def test_bad_predictions_are_refused(predictions, labels, error, message):
    with pytest.raises(error, match=message):
        shot_accuracy(predictions, labels, [3, 1])
