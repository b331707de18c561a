"""Profiles of class counts: training, validation and shifted test sets."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlt.functional import (
    exponential_class_counts,
    shifted_class_counts,
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
