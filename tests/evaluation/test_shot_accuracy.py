"""ShotAccuracy against scikit-learn, fed as the runner feeds it."""

import math

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score

from mmlt.evaluation import ShotAccuracy, format_shot_table

COUNTS = [101, 20, 19, 100, 3, 5000]  # unsorted, on both sides of both thresholds
GROUPS = {'many': [0, 5], 'medium': [1, 3], 'few': [2, 4]}
COLUMNS = ['many', 'medium', 'few', 'all', 'macro', 'worst', 'harmonic']


def make_metric(counts=COUNTS, **options):
    return METRICS.build(dict(type='ShotAccuracy', class_counts=counts, **options))


def to_samples(predictions, labels):
    samples = []
    for prediction, label in zip(predictions, labels):
        # The label of a merged sample of mmpretrain's TTA is that of one image: not to be read.
        sample = DataSample().set_gt_label(int(label)).set_pred_label(int(label))
        score = torch.rand(len(COUNTS))
        score[int(prediction)] += 1
        samples.append(sample.set_pred_score(score))
    return samples


def evaluate(predictions, labels, metric=None, batch=7):
    """Go the runner's way: data samples to dicts, batch after batch, then one evaluation."""
    evaluator = Evaluator(metric or make_metric())
    samples = to_samples(predictions, labels)
    for start in range(0, len(samples), batch):
        evaluator.process(data_samples=samples[start : start + batch], data_batch=None)
    return evaluator.evaluate(size=len(samples))


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(6), rng.integers(0, 6, 200)])
    wrong = rng.random(len(labels)) < 0.4
    wrong[:6] = False
    return np.where(wrong, rng.integers(0, 6, len(labels)), labels), labels


def test_all_figures_are_scikit_learns(pairs):
    predictions, labels = pairs
    metric = make_metric()
    got = evaluate(predictions, labels, metric)
    recall = 100 * recall_score(labels, predictions, average=None, labels=range(6))
    wanted = {f'shot/{name}': recall[classes].mean() for name, classes in GROUPS.items()}
    wanted['shot/all'] = 100 * accuracy_score(labels, predictions)
    wanted['shot/macro'] = 100 * balanced_accuracy_score(labels, predictions)
    wanted['shot/worst'] = recall.min()
    wanted['shot/harmonic'] = len(recall) / sum(1 / r for r in recall)
    assert got == pytest.approx(wanted)
    assert list(got) == [f'shot/{name}' for name in COLUMNS]
    assert metric.per_class == pytest.approx(recall.tolist())
    assert metric.test_counts == np.bincount(labels).tolist()


def test_samples_without_scores_have_their_label_read():
    metric = make_metric()
    metric.process(None, [dict(pred_label=[k], gt_label=[0]) for k in (0, 1, 0, 0)])
    assert metric.evaluate(size=4)['shot/all'] == 75


def test_a_second_evaluation_starts_anew(pairs):
    metric = make_metric()
    first = evaluate(*pairs, metric)
    right = evaluate(pairs[1], pairs[1], metric)
    assert first['shot/all'] < 100
    assert set(right.values()) == {100.0}
    assert metric.per_class == [100.0] * 6


@pytest.mark.parametrize(
    ('count', 'group'),
    [(1, 'few'), (19, 'few'), (20, 'medium'), (100, 'medium'), (101, 'many')],
)
def test_thresholds(count, group):
    got = evaluate([0, 0], [0, 0], make_metric(counts=[count] * 6))
    for name in GROUPS:
        value = got[f'shot/{name}']
        assert value == 100 if name == group else math.isnan(value)


@pytest.mark.parametrize('number', [5, 7])
def test_scores_of_other_classes_are_refused(pairs, number):
    with pytest.raises(ValueError, match=f'has 6 classes, class_counts has {number}'):
        evaluate(*pairs, make_metric(counts=[9] * number))


def test_several_labels_an_image_are_refused():
    metric = make_metric()
    with pytest.raises(ValueError, match='one class a sample, got 2'):
        metric.process(None, [dict(pred_label=[0], gt_label=[0, 1])])


def test_other_thresholds(pairs):
    predictions, labels = pairs
    got = evaluate(predictions, labels, make_metric(many=99, few=21))
    recall = 100 * recall_score(labels, predictions, average=None, labels=range(6))
    assert got['shot/many'] == pytest.approx(recall[[0, 3, 5]].mean())
    assert math.isnan(got['shot/medium'])
    assert got['shot/few'] == pytest.approx(recall[[1, 2, 4]].mean())


def test_a_class_without_test_images_is_left_out():
    metric = make_metric()
    got = evaluate([0, 1, 1, 0], [0, 1, 1, 1], metric)
    assert got['shot/many'] == 100
    assert got['shot/medium'] == pytest.approx(100 * 2 / 3)
    assert math.isnan(got['shot/few'])
    assert got['shot/macro'] == pytest.approx(100 * 5 / 6)
    assert got['shot/harmonic'] == pytest.approx(80)
    assert [math.isnan(a) for a in metric.per_class] == [False, False, True, True, True, True]


def test_one_class_never_right_makes_worst_and_harmonic_zero():
    got = evaluate([0, 0, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5])
    assert got['shot/worst'] == got['shot/harmonic'] == 0
    assert got['shot/macro'] == pytest.approx(100 * 5 / 6)


def test_the_runners_padding_is_cut_off():
    metric = make_metric()
    metric.process(None, [s.to_dict() for s in to_samples([0, 1, 2, 0], [0, 1, 2, 1])])
    assert metric.evaluate(size=3)['shot/all'] == 100


def test_prefix():
    got = evaluate([0], [0], make_metric(prefix='val'))
    assert list(got) == [f'val/{name}' for name in COLUMNS]


@pytest.mark.parametrize('label', [-1, 6])
def test_a_label_outside_the_classes_is_refused(label):
    with pytest.raises(ValueError, match=f'label {label} of the evaluated set .* the 6 classes'):
        evaluate([0], [label])


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(counts=[5, 0]), 'class 1 has 0 training images'),
        (dict(counts='places'), "unknown class_counts 'places'"),
        (dict(many=10, few=20), 'few must not exceed many, got few=20, many=10'),
    ],
)
def test_bad_options_are_refused_before_the_first_evaluation(options, match):
    with pytest.raises(ValueError, match=match):
        make_metric(**options)


def test_table_of_results(pairs):
    rows = {'last epoch': evaluate(*pairs), 'the best epoch on val': evaluate([0], [0])}
    header, *lines = format_shot_table(rows).splitlines()
    assert header.split() == COLUMNS
    assert len({len(line) for line in (header, *lines)}) == 1
    for (name, metrics), line in zip(rows.items(), lines):
        assert line.startswith(name)
        cells = line[len('the best epoch on val') :].split()
        wanted = ['-' if math.isnan(v) else f'{v:.2f}' for v in metrics.values()]
        assert cells == wanted


def test_table_with_another_prefix_and_without_rows():
    table = format_shot_table({'a': {'val/all': 12.3456, 'shot/all': 1.0}}, prefix='val')
    assert table.splitlines()[1].split() == ['a', '-', '-', '-', '12.35', '-', '-', '-']
    assert format_shot_table({}).split() == COLUMNS


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), float('-inf')])
def test_scores_that_are_no_numbers_are_refused(bad):
    """argmax takes NaN for the largest: a diverged model would have 100 % on one class."""
    metric = ShotAccuracy(class_counts=[500, 50, 5])
    good, broken = torch.tensor([0.1, 0.8, 0.1]), torch.tensor([0.1, bad, 0.1])
    samples = [{'pred_score': score, 'gt_label': torch.tensor([1])} for score in (good, broken)]
    metric.process(None, samples[:1])
    with pytest.raises(ValueError, match='pred_score of the evaluated set is not finite'):
        metric.process(None, samples)
