"""Reliability bins and calibration errors against loops, numpy, scikit-learn and closed forms."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import calibration as loops
from sklearn.calibration import calibration_curve

from mmlt.functional.calibration import (
    calibration_errors,
    expected_calibration_error,
    reliability_bins,
    top1_confidence,
)


def draw(seed, num_classes, samples=200, dtype=torch.float64):
    """Softmax scores whose largest is right more often than the others, and the labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(samples, num_classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial((0.5 * logits).softmax(dim=1), 1, generator=generator)[:, 0]
    return logits.softmax(dim=1).to(dtype), labels


def errors_of(probabilities, labels, num_bins=15):
    return calibration_errors(reliability_bins(*top1_confidence(probabilities, labels), num_bins))


@given(st.integers(0, 10**6), st.integers(1, 10), st.integers(1, 20), st.integers(1, 60))
def test_errors_match_the_loop(seed, num_classes, num_bins, samples):
    probabilities, labels = draw(seed, num_classes, samples)
    lists = probabilities.tolist(), labels.tolist()
    got = errors_of(probabilities, labels, num_bins)
    assert got['ece'].item() == pytest.approx(loops.eq_3(*lists, num_bins), abs=1e-12)
    assert got['mce'].item() == pytest.approx(loops.eq_5(*lists, num_bins), abs=1e-12)
    assert torch.equal(expected_calibration_error(probabilities, labels, num_bins), got['ece'])


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1), st.integers(1, 20))
def test_bins_match_the_loop_on_and_beside_the_edges(pairs, num_bins):
    confidence = [step / 20 for step, _ in pairs]
    correct = [right for _, right in pairs]
    got = reliability_bins(
        torch.tensor(confidence, dtype=torch.float64), torch.tensor(correct), num_bins
    )
    # One class, right where the label is 0.
    rows, labels = [[c] for c in confidence], [0 if right else 1 for right in correct]
    members = loops.bin_members(rows, labels, num_bins)
    assert got['count'].tolist() == [len(m) for m in members]
    for name, mean in [('confidence', loops.mean_confidence), ('accuracy', loops.accuracy)]:
        wanted = [mean(m) if m else math.nan for m in members]
        assert got[name].tolist() == pytest.approx(wanted, nan_ok=True)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('num_bins', [1, 10, 15])
def test_error_matches_numpys_histogram(seed, num_bins):
    probabilities, labels = (part.numpy() for part in draw(seed, 5))
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    # Its bins are [lo, hi) and the last one [lo, hi]: of the negatives, that is ours.
    edges = -np.arange(num_bins, -1, -1) / num_bins
    sums = [
        np.histogram(-confidence, edges, weights=weights)[0]
        for weights in (confidence, correct.astype(float))
    ]
    wanted = np.abs(sums[1] - sums[0]).sum() / len(labels)
    got = expected_calibration_error(torch.tensor(probabilities), torch.tensor(labels), num_bins)
    assert got.item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize('num_bins', [1, 7, 15])
def test_bins_match_scikit_learns_calibration_curve(num_bins):
    confidence, correct = top1_confidence(*draw(0, 4))
    bins = reliability_bins(confidence, correct, num_bins)
    accuracy, mean = calibration_curve(correct.numpy(), confidence.numpy(), n_bins=num_bins)
    seen = bins['count'] > 0
    assert bins['accuracy'][seen].numpy() == pytest.approx(accuracy)
    assert bins['confidence'][seen].numpy() == pytest.approx(mean)


def test_a_bin_is_open_below_and_closed_above():
    confidence = torch.tensor([0, 0.2, 0.4, 0.6, 0.8, 1], dtype=torch.float64)
    correct = torch.ones(6, dtype=torch.bool)
    bins = reliability_bins(confidence, correct, 5)
    assert bins['count'].tolist() == [2, 1, 1, 1, 1]  # 0 shares the first bin with its upper edge
    assert bins['edges'].tolist() == confidence.tolist()
    above = torch.nextafter(confidence[:-1], torch.tensor(2.0, dtype=torch.float64))
    assert reliability_bins(above, correct[1:], 5)['count'].tolist() == [1] * 5


@pytest.mark.parametrize('num_bins', range(1, 60))
def test_every_upper_edge_is_in_its_bin(num_bins):
    edges = torch.tensor([(b + 1) / num_bins for b in range(num_bins)], dtype=torch.float64)
    bins = reliability_bins(edges, torch.ones(num_bins, dtype=torch.bool), num_bins)
    assert bins['count'].tolist() == [1] * num_bins
    assert bins['edges'].tolist() == [0, *edges.tolist()]


def test_an_example_by_hand():
    probabilities = torch.tensor(
        [[0.625, 0.375], [0.125, 0.875], [0.875, 0.125], [1, 0], [0.5, 0.5]], dtype=torch.float64
    )
    labels = torch.tensor([0, 1, 1, 0, 1])  # right, right, wrong, right, wrong: a tie is class 0
    bins = reliability_bins(*top1_confidence(probabilities, labels), num_bins=4)
    assert bins['count'].tolist() == [0, 1, 1, 3]
    assert bins['accuracy'].tolist()[1:] == pytest.approx([0, 1, 2 / 3])
    assert bins['confidence'].tolist()[1:] == pytest.approx([0.5, 0.625, 2.75 / 3])
    assert bins['accuracy'].isnan().tolist() == [True, False, False, False]
    # |0 - 0.5| + |1 - 0.625| + |2 - 2.75|, over 5 samples.
    assert expected_calibration_error(probabilities, labels, 4).item() == pytest.approx(1.625 / 5)
    assert calibration_errors(bins)['mce'].item() == 0.5


@pytest.mark.parametrize('seed', range(3))
def test_calibrated_scores_have_no_error_and_sharpened_ones_have_theirs(seed):
    samples, num_bins = 200_000, 15
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.rand(samples, generator=generator, dtype=torch.float64)
    correct = torch.rand(samples, generator=generator, dtype=torch.float64) < confidence
    # Mean of the sum of |B_b| / n |noise| is at most sqrt(B / n) / 2, by Jensen's inequality.
    noise = math.sqrt(num_bins / samples) / 2
    calibrated = calibration_errors(reliability_bins(confidence, correct, num_bins))['ece']
    assert 0 < calibrated < 1.5 * noise
    # All gaps have one sign then, so the error is E[sqrt(c) - c] = 2/3 - 1/2.
    sharpened = calibration_errors(reliability_bins(confidence.sqrt(), correct, num_bins))['ece']
    assert sharpened.item() == pytest.approx(1 / 6, abs=1.5 * noise)


@given(st.integers(0, 10**6), st.integers(2, 8))
def test_neither_the_order_of_samples_nor_the_names_of_classes_matter(seed, num_classes):
    probabilities, labels = draw(seed, num_classes, samples=50)
    wanted = errors_of(probabilities, labels)
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randperm(50, generator=generator)
    classes = torch.randperm(num_classes, generator=generator)
    shuffled = errors_of(probabilities[samples], labels[samples])
    relabelled = errors_of(probabilities[:, classes], classes.argsort()[labels])
    for name in ('ece', 'mce'):
        torch.testing.assert_close(shuffled[name], wanted[name], rtol=0, atol=1e-12)
        assert torch.equal(relabelled[name], wanted[name])


def test_bins_of_parts_recombine_to_the_bins_of_all():
    probabilities, labels = draw(0, 6)
    confidence, correct = top1_confidence(probabilities, labels)
    whole = reliability_bins(confidence, correct)
    parts = [
        reliability_bins(confidence[mask], correct[mask]) for mask in (labels < 2, labels >= 2)
    ]
    assert torch.equal(parts[0]['count'] + parts[1]['count'], whole['count'])
    for name in ('confidence', 'accuracy'):
        total = sum(part['count'] * part[name].nan_to_num(nan=0) for part in parts)
        torch.testing.assert_close(total / whole['count'], whole[name], equal_nan=True)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_half_scores_are_summed_in_float64(dtype):
    # Enough samples to stop a half sum: 2048 + 0.5 is 2048 in float16.
    probabilities, labels = draw(0, 4, samples=20_000, dtype=dtype)
    got = expected_calibration_error(probabilities, labels)
    assert got.dtype == torch.float64
    assert got.shape == ()
    assert torch.equal(got, expected_calibration_error(probabilities.double(), labels))
    assert top1_confidence(probabilities, labels)[0].dtype == dtype


def test_one_class_and_sigmoid_scores():
    zeros = torch.zeros(2, dtype=torch.int64)
    one_class = torch.tensor([[0.25], [0.75]])
    assert expected_calibration_error(one_class, zeros, 2).item() == 0.5
    # Scores of a row that do not sum to 1; all 0 predicts class 0 with confidence 0.
    sigmoids = torch.tensor([[1.0, 0.75], [0.0, 0.0]])
    assert expected_calibration_error(sigmoids, zeros, 2).item() == 0.5


def test_without_samples_all_is_nan():
    probabilities, labels = torch.empty(0, 3), torch.empty(0, dtype=torch.int64)
    assert expected_calibration_error(probabilities, labels).isnan()
    bins = reliability_bins(*top1_confidence(probabilities, labels), num_bins=4)
    assert bins['count'].tolist() == [0] * 4
    assert bins['accuracy'].isnan().all()
    assert calibration_errors(bins)['mce'].isnan()


def test_a_strided_confidence_gives_no_warning():
    pairs = torch.tensor([[0.5, 1.0], [1.0, 1.0]], dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        bins = reliability_bins(pairs[:, 0], pairs[:, 1].bool(), 2)
    assert bins['count'].tolist() == [1, 1]


@pytest.mark.parametrize(
    ('probabilities', 'labels', 'error', 'message'),
    [
        ([0.5], [0], ValueError, r'probabilities must have shape \(N, K\) .* got \(1,\)'),
        ([[]], [0], ValueError, r'probabilities must have shape \(N, K\) .* got \(1, 0\)'),
        ([[0.5]], [0, 0], ValueError, r'labels must have shape \(1,\), got \(2,\)'),
        ([[0.5]], [0.0], TypeError, 'labels must be int64 class labels, got torch.float32'),
        ([[0.5]], [1], ValueError, r'labels must be in \[0, 1\), got values in \[1, 1\]'),
        ([[0.5]], [-1], ValueError, r'labels must be in \[0, 1\), got values in \[-1, -1\]'),
        ([[0.5, -2.0]], [0], ValueError, r'probabilities must be in \[0, 1\], .* \[-2, 0.5\]'),
        ([[0.5, 1.5]], [0], ValueError, r'probabilities must be in \[0, 1\], .* \[0.5, 1.5\]'),
        ([[0.5, math.nan]], [0], ValueError, r'probabilities must be in \[0, 1\], .* \[nan, nan\]'),
    ],
)
def test_bad_scores_and_labels_are_refused(probabilities, labels, error, message):
    with pytest.raises(error, match=message):
        expected_calibration_error(torch.tensor(probabilities), torch.tensor(labels))


@pytest.mark.parametrize(
    ('confidence', 'correct', 'num_bins', 'error', 'message'),
    [
        ([0.5], [True], 0, ValueError, 'num_bins must be an integer >= 1, got 0'),
        ([0.5], [True], 2.5, ValueError, 'num_bins must be an integer >= 1, got 2.5'),
        ([0.5], [1], 2, TypeError, 'correct must be bool, got torch.int64'),
        ([0.5], [True, True], 2, ValueError, r'same shape \(N,\), got \(1,\) and \(2,\)'),
        ([[0.5]], [[True]], 2, ValueError, r'same shape \(N,\), got \(1, 1\) and \(1, 1\)'),
        ([1.25], [True], 2, ValueError, r'confidence must be in \[0, 1\], .* \[1.25, 1.25\]'),
        ([math.nan], [True], 2, ValueError, r'confidence must be in \[0, 1\], .* \[nan, nan\]'),
    ],
)
def test_bad_bins_are_refused(confidence, correct, num_bins, error, message):
    with pytest.raises(error, match=message):
        reliability_bins(torch.tensor(confidence), torch.tensor(correct), num_bins)
