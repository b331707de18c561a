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
    shot_accuracy,
    shot_groups,
    sigmoid_pair_loss,
    softmax_pair_loss,
    step_class_counts,
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
