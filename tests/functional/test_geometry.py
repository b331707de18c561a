"""Separability and compactness of classifier vectors and features; the package's examples."""

import doctest
import importlib
import pkgutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import bce3s
from sklearn.metrics.pairwise import cosine_similarity

import mmlt.functional
from mmlt.functional.geometry import (
    angular_distance,
    class_means,
    classifier_separability,
    feature_compactness,
    feature_separability,
    separability_matrix,
)

K, D = 4, 3


def draw(seed, labels):
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.randn(K, D, generator=generator, dtype=torch.float64)
    labels = torch.tensor(labels, dtype=torch.int64)
    noise = torch.randn(len(labels), D, generator=generator, dtype=torch.float64)
    return offsets[labels] + 0.5 * noise, labels


def by_class(features, labels):
    return [features[labels == k].tolist() for k in range(K)]


LABELS = [3, 0, 0, 1, 2, 2, 2, 0, 3, 1, 0]


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_classifier_separability_matches_the_loop(dtype):
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    got = classifier_separability(weight)
    wanted = [bce3s.eq_13(weight.double().tolist(), k) for k in range(6)]
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize('num_classes', [2, 10, 100])
def test_an_etf_has_the_papers_separability(num_classes):
    etf = torch.tensor(bce3s.simplex_etf(num_classes), dtype=torch.float64)
    wanted = torch.full((num_classes,), 50 * (1 + 1 / (num_classes - 1)), dtype=torch.float64)
    # Neither a common length nor a common offset moves it: eq. 16 centres first.
    torch.testing.assert_close(classifier_separability(7 * etf + 3), wanted)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_matrix_matches_the_loop_and_its_rows_average_to_the_separability(dtype):
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    got = separability_matrix(weight)
    wanted = torch.tensor(bce3s.eq_36(weight.double().tolist()), dtype=torch.float64)
    torch.testing.assert_close(got, wanted)
    rows = 100 * (got.sum(dim=1) - 1) / 5
    torch.testing.assert_close(rows, classifier_separability(weight))


def test_the_matrix_of_opposite_and_of_equal_vectors_stays_a_fraction():
    weight = torch.randn(1, 300, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[1.0], [1.0], [-1.0], [-1.0]]
    )
    got = separability_matrix(weight)
    assert got.min() >= 0
    assert got.max() <= 1
    wanted = torch.tensor([[1.0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 1]])
    torch.testing.assert_close(got, wanted.double())
    assert separability_matrix(torch.ones(1, D)).tolist() == [[1]]


@pytest.mark.parametrize('seed', range(3))
def test_compactness_matches_the_loop(seed):
    features, labels = draw(seed, LABELS)
    wanted = [bce3s.eq_14(by_class(features, labels), k) for k in range(K)]
    got = feature_compactness(features, labels, K)
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64))


@given(st.lists(st.integers(0, K - 1), max_size=15), st.integers(0, 50))
def test_compactness_matches_scikit_learns_cosines(labels, seed):
    features, labels = draw(seed, labels)
    got = feature_compactness(features, labels, K).tolist()
    for k in range(K):
        rows = features[labels == k]
        n = len(rows)
        if n < 2:
            assert got[k] != got[k]
            continue
        cosines = cosine_similarity(rows.numpy())
        mean = (cosines.sum() - cosines.trace()) / (n * n - n)
        assert got[k] == pytest.approx(50 * (1 + mean), abs=1e-10)


@pytest.mark.parametrize('centering', ['class', 'global'])
@pytest.mark.parametrize('seed', range(3))
def test_separability_matches_the_loop(seed, centering):
    features, labels = draw(seed, LABELS)
    wanted = [bce3s.eq_15(by_class(features, labels), k, centering) for k in range(K)]
    got = feature_separability(features, labels, K, centering=centering)
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64))


def test_separability_as_printed_is_the_default_and_near_fifty():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % K
    # Far apart or on top of each other: eq. 15 as printed cannot tell; the other reading can.
    for distance, wanted in [(0.0, 50), (100.0, 50 * K / (K - 1))]:
        means = distance * torch.tensor(bce3s.simplex_etf(K))
        features = means[labels] + torch.randn(400, K, generator=generator)
        printed = feature_separability(features, labels, K)
        assert (printed - 50).abs().max() < 1
        spread = feature_separability(features, labels, K, centering='global')
        assert (spread - wanted).abs().max() < 3


@pytest.mark.parametrize('copies', [1, 3, 7])
def test_full_collapse(copies):
    # 0.1 is no binary fraction, so the mean of three copies need not be the copy itself.
    means = torch.tensor(bce3s.simplex_etf(K), dtype=torch.float64) + 0.1
    features, labels = means.repeat_interleave(copies, 0), torch.arange(K).repeat_interleave(copies)
    fifty = torch.full((K,), 50.0, dtype=torch.float64)
    printed = feature_separability(features, labels, K)
    torch.testing.assert_close(printed, fifty, rtol=0, atol=0)
    spread = feature_separability(features, labels, K, centering='global')
    torch.testing.assert_close(spread, fifty * K / (K - 1))
    if copies > 1:
        torch.testing.assert_close(feature_compactness(features, labels, K), 2 * fifty)


def test_relabelling_the_classes_permutes_the_result():
    features, labels = draw(0, LABELS)
    order = torch.tensor([2, 0, 3, 1])
    new = order.argsort()[labels]
    for measure in (feature_compactness, feature_separability):
        torch.testing.assert_close(measure(features, new, K), measure(features, labels, K)[order])
    weight = features[:K]
    torch.testing.assert_close(
        classifier_separability(weight[order]), classifier_separability(weight)[order]
    )
    matrix = separability_matrix(weight)[order][:, order]
    torch.testing.assert_close(separability_matrix(weight[order]), matrix)


def test_turning_and_scaling_all_features_changes_nothing():
    features, labels = draw(0, LABELS)
    turn = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(1)).double())
    turned = 7 * features @ turn.Q
    for measure in (feature_compactness, feature_separability):
        torch.testing.assert_close(measure(turned, labels, K), measure(features, labels, K))
    torch.testing.assert_close(separability_matrix(turned), separability_matrix(features))


def test_nothing_keeps_a_gradient():
    features, labels = draw(0, LABELS)
    features.requires_grad_()
    results = [measure(features, labels, K) for measure in (feature_compactness, class_means)]
    results += [feature_separability(features, labels, K), separability_matrix(features)]
    results += [classifier_separability(features), angular_distance(features, labels, features)]
    assert not any(result.requires_grad for result in results)


@pytest.mark.parametrize('centering', ['class', 'global'])
def test_absent_classes_are_nan_and_change_nothing_else(centering):
    features, labels = draw(0, [0, 0, 1, 1, 1, 2, 2])
    whole = feature_separability(features, labels, 3, centering=centering)
    got = feature_separability(features, 2 * labels, 6, centering=centering)
    torch.testing.assert_close(got[[0, 2, 4]], whole)
    assert got[[1, 3, 5]].isnan().all()
    assert feature_compactness(features, 2 * labels, 6).isnan().tolist() == [False, True] * 3


def test_what_has_no_pair_is_nan():
    one = torch.zeros(2, dtype=torch.int64)
    assert feature_separability(torch.ones(2, D), one, 1).isnan().all()
    assert feature_separability(torch.ones(2, D), one, 3).isnan().all()
    assert feature_separability(torch.ones(0, D), one[:0], 3).isnan().all()
    assert classifier_separability(torch.ones(1, D)).isnan().all()


def test_vectors_without_a_direction_count_as_right_angles():
    # The mean of seven copies is off by rounding, which must not pass for a direction.
    copies = (1e6 / torch.tensor([[3.0, 7.0, -11.0]], dtype=torch.float64)).repeat(7, 1)
    assert (copies.mean(dim=0) != copies[0]).any()
    assert classifier_separability(copies).tolist() == [50] * 7
    others = torch.cat([copies, torch.eye(D)])
    printed = feature_separability(others, torch.tensor([0] * 7 + [1, 2, 3]), K)
    assert printed.tolist() == [50] * K
    features, labels = torch.zeros(4, D), torch.tensor([0, 0, 1, 1])
    assert feature_compactness(features, labels, 2).tolist() == [50, 50]
    for centering in ('class', 'global'):
        assert feature_separability(features, labels, 2, centering).tolist() == [50, 50]


@pytest.mark.parametrize('measure', [feature_compactness, feature_separability, class_means])
@pytest.mark.parametrize(
    ('features', 'labels', 'error', 'message'),
    [
        (torch.ones(3), [0, 1, 0], ValueError, r'features must have shape \(N, D\), got \(3,\)'),
        (torch.ones(3, D), [0, 1], ValueError, r'labels must have shape \(3,\), got \(2,\)'),
        (
            torch.ones(2, D),
            [0.0, 1.0],
            TypeError,
            'labels must be int64 class labels, got torch.float32',
        ),
        (torch.ones(2, D), [0, 4], ValueError, r'labels must be in \[0, 4\), got .*\[0, 4\]'),
        (torch.ones(2, D), [-1, 0], ValueError, r'labels must be in \[0, 4\), got .*\[-1, 0\]'),
    ],
)
def test_bad_features_are_refused(features, labels, error, message, measure):
    with pytest.raises(error, match=message):
        measure(features, torch.tensor(labels), K)


def test_bad_weight_and_centering_are_refused():
    for measure in (classifier_separability, separability_matrix):
        with pytest.raises(ValueError, match=r'weight must have shape \(K, D\) .*got \(3,\)'):
            measure(torch.ones(3))
    with pytest.raises(ValueError, match="centering must be 'class' or 'global', got 'none'"):
        feature_separability(torch.ones(2, D), torch.tensor([0, 1]), K, centering='none')


MODULES = [name for _, name, _ in pkgutil.iter_modules(mmlt.functional.__path__)]


@pytest.mark.parametrize('name', MODULES)
def test_the_examples_in_the_docstrings_run(name):
    module = importlib.import_module(f'mmlt.functional.{name}')
    result = doctest.testmod(module)
    assert result.failed == 0


@pytest.mark.parametrize('name', mmlt.functional.__all__)
def test_every_public_function_has_an_example(name):
    finder = doctest.DocTestFinder(recurse=False)
    examples = [e for t in finder.find(getattr(mmlt.functional, name)) for e in t.examples]
    assert examples, f'{name} has no example in its docstring'
