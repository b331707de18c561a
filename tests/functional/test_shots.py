"""Shot groups and the accuracy on them, against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from mmlt.functional import (
    shot_accuracy,
    shot_groups,
)


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
