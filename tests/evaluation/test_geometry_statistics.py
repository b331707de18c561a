"""Geometry batch by batch and from several processes: the same as from all samples at once."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import bce3s

from mmlt.evaluation import GeometryStatistics, SecondPass
from mmlt.functional import (
    feature_compactness,
    feature_separability,
    fisher,
    fisher_separability,
    moments,
    neural_collapse,
)

K, D, N = 7, 5, 60
ORDER = torch.arange(N)


def draw(seed=0, num_samples=N, offset=0.0):
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    # Long-tailed; the last class has no sample, the one before a single one.
    frequency = torch.tensor([30.0, 15, 8, 4, 2, 0, 0])
    labels = torch.multinomial(frequency, N, replacement=True, generator=generator)[:num_samples]
    if num_samples:
        labels[num_samples // 2] = K - 2
    features = offset + randn(K, D)[labels] + randn(num_samples, D)
    return features, labels, randn(K, D)


def collect(features, labels, sizes, scatter='shared'):
    statistics = GeometryStatistics(K, D, scatter)
    for x, y in zip(features.split(sizes), labels.split(sizes)):
        statistics.update(x, y)
    return statistics


def passed(statistics, features, labels, sizes, **options):
    second = statistics.second_pass(**options)
    for x, y in zip(features.split(sizes), labels.split(sizes)):
        second.update(x, y)
    return second


def close(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9, equal_nan=True)


def check_all(features, labels, weight, shared, of_class, second):
    """Everything that statistics and second pass give, against the direct functions."""
    close(shared.compactness(), feature_compactness(features, labels, K))
    for centering in ('class', 'global'):
        wanted = feature_separability(features, labels, K, centering)
        close(second.separability(centering), wanted)
    wanted = neural_collapse(features, labels, weight)
    close(shared.neural_collapse(weight) | {'nc4': second.nc4()}, wanted)
    close(of_class.neural_collapse(weight) | {'nc4': second.nc4()}, wanted)
    for statistics, covariance in ((shared, 'shared'), (of_class, 'class')):
        wanted = fisher_separability(features, labels, K, 1e-2, covariance)
        close(statistics.fisher_separability(1e-2), wanted)


@pytest.mark.parametrize('sizes', [1, 7, 16, [0, 50, 0, 10], N])
@pytest.mark.parametrize('offset', [0.0, 1e4])
def test_batch_by_batch_equals_all_at_once(sizes, offset):
    features, labels, weight = draw(offset=offset)
    sizes = sizes if isinstance(sizes, list) else [sizes] * (N // sizes) + [N % sizes]
    shared, of_class = (collect(features, labels, sizes, s) for s in ('shared', 'class'))
    second = passed(shared, features, labels, sizes[::-1], weight=weight)
    check_all(features, labels, weight, shared, of_class, second)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 1000))
def test_two_merged_equal_one(first, second, seed):
    features, labels, weight = draw(seed, num_samples=first + second)
    sizes = [first, second]
    parts = list(zip(features.split(sizes), labels.split(sizes)))
    merged = {}
    for scatter in ('shared', 'class', None):
        one, other = (collect(*part, max(len(part[1]), 1), scatter) for part in parts)
        one.merge(other)
        merged[scatter] = one
    close(merged[None].mean, merged['shared'].mean)
    close(merged['class'].scatter.sum(dim=0), merged['shared'].scatter)
    passes = [passed(merged[None], *part, 3, weight=weight) for part in parts]
    passes[0].merge(passes[1])
    check_all(features, labels, weight, merged['shared'], merged['class'], passes[0])


def test_the_order_of_the_samples_does_not_matter():
    features, labels, weight = draw()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    mixed = features[order], labels[order]
    shared, of_class = (collect(*mixed, 9, scatter) for scatter in ('shared', 'class'))
    second = passed(shared, features, labels, 11, weight=weight)
    check_all(features, labels, weight, shared, of_class, second)


def test_the_sums_are_what_they_are_called():
    features, labels, _ = draw()
    statistics = collect(features, labels, 13, 'class')
    assert statistics.count.tolist() == labels.bincount(minlength=K).tolist()
    for k in range(K):
        rows = features[labels == k]
        mean = bce3s.mean_vector(rows.tolist()) if len(rows) else [0.0] * D
        close(statistics.mean[k], torch.tensor(mean, dtype=torch.float64))
        close(statistics.unit_sum[k], (rows / rows.norm(dim=1, keepdim=True)).sum(dim=0))
        centred = rows - statistics.mean[k]
        close(statistics.scatter[k], centred.T @ centred)
    assert statistics.unit_square.tolist() == pytest.approx(statistics.count.tolist())


def test_large_inputs_are_taken_in_parts(monkeypatch):
    features, labels, weight = draw()
    monkeypatch.setattr(moments, '_ROWS', 8)
    monkeypatch.setattr(fisher, '_PAIR_ENTRIES', 2 * D * D)
    shared, of_class = (collect(features, labels, N, scatter) for scatter in ('shared', 'class'))
    second = passed(shared, features, labels, N, weight=weight)
    in_parts = of_class.fisher_separability(1e-2)
    monkeypatch.undo()
    check_all(features, labels, weight, shared, of_class, second)
    close(in_parts, of_class.fisher_separability(1e-2))


def test_a_tight_class_far_away_keeps_its_spread_over_many_batches():
    # Sums of squares in float64 would be left with no digit: (1e8)^2 against 1e-2.
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(200, D, generator=generator, dtype=torch.float64)
    statistics = GeometryStatistics(1, D)
    for x in noise.split(3):
        statistics.update(1e8 + x, torch.zeros(len(x), dtype=torch.int64))
    wanted = torch.cov(noise.T, correction=0)
    torch.testing.assert_close(statistics.scatter / 200, wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_low_precision_is_that_of_the_input_only(dtype):
    features, labels, _ = draw()
    features = features.to(dtype).requires_grad_()
    got, wanted = (collect(x, labels, 9) for x in (features, features.double()))
    close(got.compactness(), wanted.compactness())
    close(got.scatter, wanted.scatter)
    assert not got.mean.requires_grad


def test_a_merge_leaves_the_other_as_it_was():
    features, labels, _ = draw()
    one, other = collect(features[:20], labels[:20], 5), collect(features[20:], labels[20:], 5)
    before = copy.deepcopy(vars(other))
    one.merge(other)
    assert all(torch.equal(value, vars(other)[name]) for name, value in before.items())


def test_a_second_pass_over_other_samples_is_refused():
    features, labels, weight = draw()
    statistics = collect(features, labels, N)
    second = passed(statistics, features[1:], labels[1:], N, weight=weight)
    k, n = labels[0], (labels == labels[0]).sum()
    message = f'must see the samples of the first: class {k} had {n}, now {n - 1}'
    for measure in (second.separability, second.nc4):
        with pytest.raises(ValueError, match=message):
            measure()
    second.update(features[:1], labels[:1])
    close(second.separability(), feature_separability(features, labels, K))
    statistics.update(features, labels)
    with pytest.raises(ValueError, match='other must follow the same first pass'):
        second.merge(statistics.second_pass())


@pytest.mark.parametrize('centering', ['class', 'global'])
def test_what_comes_later_does_not_change_a_second_pass(centering):
    features, labels, weight = draw()
    statistics = collect(features, labels, N)
    second = statistics.second_pass(weight, bias := torch.zeros(K, dtype=torch.float64))
    second.update(features[:20], labels[:20])
    # The first pass goes on, to samples elsewhere, and the classifier is trained on.
    statistics.update(5 - 3 * features, labels)
    weight.neg_()
    bias.add_(torch.arange(K))
    second.update(features[20:], labels[20:])
    wanted = feature_separability(features, labels, K, centering)
    close(second.separability(centering), wanted)
    wanted = neural_collapse(features, labels, -weight)['nc4']
    close(second.nc4(), wanted)


@pytest.mark.parametrize('sizes', [7, N])
def test_nc4_of_given_predictions_is_that_of_the_classifier_they_came_from(sizes):
    features, labels, weight = draw()
    bias = torch.randn(K, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    seen = labels.bincount(minlength=K) > 0
    logits = (features @ weight.T + bias).masked_fill(~seen, -torch.inf)
    predictions = logits.argmax(dim=1)
    statistics = collect(features, labels, N)
    one, other = statistics.second_pass(), statistics.second_pass()
    rows = list(zip(features.split(sizes), labels.split(sizes), predictions.split(sizes)))
    for second, part in ((one, rows[::2]), (other, rows[1::2])):
        for x, y, predicted in part:
            second.update(x, y, predicted)
    one.merge(other)
    wanted = neural_collapse(features, labels, weight, bias)
    close(one.nc4(), wanted['nc4'])
    close(neural_collapse(features, labels, weight, predictions=predictions), wanted)
    # One for a class without samples is never the nearest mean's.
    predictions = torch.full((N,), K - 1)
    assert not seen[K - 1]
    assert neural_collapse(features, labels, weight, predictions=predictions)['nc4'] == 1


def test_predictions_that_do_not_fit_are_refused():
    features, labels, weight = draw()
    statistics = collect(features, labels, N)
    second = statistics.second_pass()
    second.update(features[:9], labels[:9], labels[:9])
    second.update(features[9:], labels[9:])
    with pytest.raises(ValueError, match=f'or predictions with every .* None for {N - 9} samples'):
        second.nc4()
    with pytest.raises(ValueError, match='predictions must be None where weight decides'):
        statistics.second_pass(weight).update(features, labels, labels)
    for predictions, error, message in (
        (labels[1:], ValueError, r'predictions must have shape \(60,\), got \(59,\)'),
        (labels + K, ValueError, r'predictions must be in \[0, 7\)'),
        (labels.float(), TypeError, 'predictions must be int64'),
    ):
        with pytest.raises(error, match=message):
            statistics.second_pass().update(features, labels, predictions)
        with pytest.raises(error, match=message):
            neural_collapse(features, labels, weight, predictions=predictions)
    with pytest.raises(ValueError, match='bias must be None where predictions are given'):
        neural_collapse(features, labels, weight, torch.zeros(K), labels)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: GeometryStatistics(0, D), 'num_classes must be >= 1, got 0'),
        (lambda: GeometryStatistics(K, 0), 'width must be >= 1, got 0'),
        (lambda: GeometryStatistics(K, D, 'pair'), "scatter must be 'shared', .* got 'pair'"),
        (
            lambda: GeometryStatistics(K, 4).update(torch.ones(2, D), torch.tensor([0, 1])),
            r'features must have shape \(N, 4\), got \(2, 5\)',
        ),
        (
            lambda: GeometryStatistics(K, D).update(torch.ones(2, D), torch.tensor([0, K])),
            r'labels must be in \[0, 7\), got .*\[0, 7\]',
        ),
        (
            lambda: GeometryStatistics(K, D).merge(GeometryStatistics(K, 4)),
            r'other must have a mean of shape \(7, 5\), got \(7, 4\)',
        ),
        (
            lambda: GeometryStatistics(K, D).merge(GeometryStatistics(K, D, None)),
            r'other must have a scatter of shape \(5, 5\), got None',
        ),
        (
            lambda: GeometryStatistics(K, D, None).fisher_separability(),
            "Fisher separability needs scatter='shared' or 'class', got None",
        ),
        (
            lambda: GeometryStatistics(K, D, None).neural_collapse(torch.ones(K, D)),
            "neural collapse needs scatter='shared' or 'class', got None",
        ),
        (
            lambda: GeometryStatistics(K, D).neural_collapse(torch.ones(D, K)),
            r'weight must have shape \(7, 5\), got \(5, 7\)',
        ),
        (
            lambda: GeometryStatistics(K, D).second_pass(bias=torch.ones(K)),
            r'bias must have shape \(7,\) and come with weight, got \(7,\)',
        ),
        (
            lambda: GeometryStatistics(K, D).second_pass().separability('none'),
            "centering must be 'class' or 'global', got 'none'",
        ),
        (lambda: SecondPass(torch.ones(2), torch.ones(2, D)).nc4(), 'nc4 needs the weight .* None'),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
