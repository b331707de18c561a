"""What class counts weigh: against exact quotients, and in the weighted losses of the papers."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import bce3s

from mmlt.functional import (
    class_log_prior,
    effective_number_weights,
    sampling_probabilities,
    shifted_class_counts,
    sigmoid_pair_loss,
    softmax_pair_loss,
    validation_counts,
)


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
