"""CalibrationError against the functional and the loops, fed as the runner feeds it."""

import json
import math

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample
from reference import calibration as loops

import mmlt.evaluation.calibration_error  # noqa: F401
from mmlt.functional.calibration import expected_calibration_error, reliability_bins

COUNTS = [101, 20, 19, 100, 3, 5000]  # unsorted, on both sides of both thresholds
GROUPS = {'many': [0, 5], 'medium': [1, 3], 'few': [2, 4]}
NAMES = ['ece', 'mce', 'ece_many', 'ece_medium', 'ece_few']


def make_metric(**options):
    return METRICS.build(dict(type='CalibrationError', **options))


def draw(seed=0, samples=150, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(samples, len(COUNTS), generator=generator)
    labels = torch.multinomial((0.5 * logits).softmax(dim=1), 1, generator=generator)[:, 0]
    return logits.softmax(dim=1).to(dtype), labels


def to_samples(scores, labels):
    pairs = zip(scores, labels.tolist())
    return [DataSample().set_gt_label(label).set_pred_score(score) for score, label in pairs]


def evaluate(scores, labels, metric, batch=7):
    """Go the runner's way: data samples to dicts, batch after batch, then one evaluation."""
    evaluator = Evaluator(metric)
    samples = to_samples(scores, labels)
    for start in range(0, len(samples), batch):
        evaluator.process(data_samples=samples[start : start + batch], data_batch=None)
    return evaluator.evaluate(size=len(samples))


def in_group(labels, name):
    return torch.isin(labels, torch.tensor(GROUPS[name]))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize('num_bins', [1, 15])
def test_errors_are_the_functionals_and_the_loops_in_percent(num_bins, dtype):
    scores, labels = draw(dtype=dtype)
    got = evaluate(scores, labels, make_metric(class_counts=COUNTS, num_bins=num_bins))
    assert list(got) == [f'calibration/{name}' for name in NAMES]
    lists = scores.tolist(), labels.tolist()
    assert got['calibration/ece'] == pytest.approx(100 * loops.eq_3(*lists, num_bins))
    assert got['calibration/mce'] == pytest.approx(100 * loops.eq_5(*lists, num_bins))
    for name in GROUPS:
        mask = in_group(labels, name)
        wanted = 100 * expected_calibration_error(scores[mask], labels[mask], num_bins).item()
        assert got[f'calibration/ece_{name}'] == pytest.approx(wanted)


def test_without_class_counts_there_are_no_groups():
    scores, labels = draw()
    metric = make_metric()
    got = evaluate(scores, labels, metric)
    assert list(got) == ['calibration/ece', 'calibration/mce']
    assert list(metric.bins) == ['all']
    wanted = evaluate(scores, labels, make_metric(class_counts=COUNTS))
    assert got == {name: wanted[name] for name in got}


def test_bins_are_kept_for_the_picture():
    scores, labels = draw()
    metric = make_metric(class_counts=COUNTS, num_bins=10)
    evaluate(scores, labels, metric)
    assert list(metric.bins) == ['all', *GROUPS]
    confidence, predictions = scores.max(dim=1)
    masks = {'all': labels >= 0, **{name: in_group(labels, name) for name in GROUPS}}
    for name, mask in masks.items():
        wanted = reliability_bins(confidence[mask], (predictions == labels)[mask], 10)
        assert list(metric.bins[name]) == list(wanted)
        for key, part in wanted.items():
            assert metric.bins[name][key] == pytest.approx(part.numpy(), nan_ok=True)
    total = sum(metric.bins[name]['count'] for name in GROUPS)
    assert total.tolist() == metric.bins['all']['count'].tolist()


def test_scores_calibrated_over_all_are_not_given_the_label():
    scores = torch.tensor([[0.75, 0.25]]).expand(4, 2)
    got = evaluate(scores, torch.tensor([0, 0, 0, 1]), make_metric(class_counts=[500, 5]))
    assert [got[f'calibration/{name}'] for name in ('ece', 'mce')] == [0, 0]
    assert got['calibration/ece_many'] == 25
    assert got['calibration/ece_few'] == 75
    assert math.isnan(got['calibration/ece_medium'])  # as ShotAccuracy has it


def test_other_thresholds():
    scores, labels = draw()
    got = evaluate(scores, labels, make_metric(class_counts=COUNTS, many=99, few=21))
    mask = torch.isin(labels, torch.tensor([0, 3, 5]))
    wanted = 100 * expected_calibration_error(scores[mask], labels[mask]).item()
    assert got['calibration/ece_many'] == pytest.approx(wanted)
    assert math.isnan(got['calibration/ece_medium'])


def test_the_scores_of_a_head_are_the_softmax_of_its_logits():
    torch.manual_seed(0)
    head = LinearClsHead(num_classes=6, in_channels=4)
    features, labels = torch.randn(20, 4), torch.randint(6, (20,))
    samples = [DataSample().set_gt_label(label) for label in labels.tolist()]
    with torch.no_grad():
        probabilities = head((features,)).softmax(dim=1)
        predicted = head.predict((features,), samples)
    evaluator = Evaluator(make_metric(class_counts=COUNTS))
    evaluator.process(data_samples=predicted, data_batch=None)
    wanted = 100 * expected_calibration_error(probabilities, labels).item()
    assert evaluator.evaluate(size=20)['calibration/ece'] == pytest.approx(wanted)


def test_a_second_evaluation_starts_anew():
    metric = make_metric()
    assert evaluate(*draw(), metric)['calibration/ece'] > 0
    assert evaluate(torch.eye(6), torch.arange(6), metric)['calibration/ece'] == 0
    assert metric.bins['all']['count'].sum() == 6


def test_the_runners_padding_is_cut_off():
    metric = make_metric()
    scores, labels = torch.eye(2)[[0, 1, 0]], torch.tensor([0, 1, 1])
    metric.process(None, [sample.to_dict() for sample in to_samples(scores, labels)])
    assert metric.evaluate(size=2)['calibration/ece'] == 0


def test_one_class():
    got = evaluate(torch.tensor([[0.25], [0.75]]), torch.tensor([0, 0]), make_metric(num_bins=2))
    assert got == {'calibration/ece': 50, 'calibration/mce': 75}


def test_nothing_evaluated_is_nan():
    got = make_metric(class_counts=COUNTS).evaluate(size=0)
    assert list(got) == [f'calibration/{name}' for name in NAMES]
    assert all(math.isnan(value) for value in got.values())


def test_prefix():
    got = evaluate(*draw(), make_metric(prefix='val'))
    assert list(got) == ['val/ece', 'val/mce']


def test_bins_are_written_as_strict_json(tmp_path):
    path = tmp_path / 'new' / 'folder' / 'bins.json'
    metric = make_metric(class_counts=COUNTS, out_file=str(path))
    assert not path.parent.exists()
    for seed in range(2):  # the second overwrites the first
        evaluate(*draw(seed), metric)
        content = json.loads(path.read_text(), parse_constant=pytest.fail)
        assert list(content) == ['all', *GROUPS]
        for name, parts in metric.bins.items():
            for key, part in parts.items():
                wanted = [None if math.isnan(value) else value for value in part.tolist()]
                assert content[name][key] == wanted
    assert content['all']['accuracy'][0] is None  # no confidence below 1 / 15 in six classes


@pytest.mark.parametrize('missing', ['pred_score', 'gt_label'])
def test_a_sample_without_score_or_label_is_refused(missing):
    samples = [sample.to_dict() for sample in to_samples(*draw(samples=2))]
    del samples[1][missing]
    with pytest.raises(ValueError, match=f'CalibrationError needs {missing} in each data sample'):
        make_metric().process(None, samples)


@pytest.mark.parametrize(
    ('sample', 'error', 'message'),
    [
        (dict(pred_score=[0.5] * 5), ValueError, 'pred_score .* has 5 classes, class_counts has 6'),
        (dict(pred_score=0.5), ValueError, r'pred_score must be a vector, .* got \[\(\)\]'),
        (dict(gt_label=[0, 1]), ValueError, 'gt_label must be one class a sample, got 2'),
        (
            dict(gt_label=[6]),
            ValueError,
            r'evaluated set .* labels must be in \[0, 6\), .* \[6, 6\]',
        ),
        (
            dict(gt_label=[-1]),
            ValueError,
            r'evaluated set .* labels must be in \[0, 6\), .*\[-1, -1',
        ),
        (
            dict(gt_label=[0.5]),
            TypeError,
            'evaluated set .* labels must be int64 class labels, got torch.float32',
        ),
        (
            dict(pred_score=[7.0] * 6),
            ValueError,
            r'evaluated set .* must be in \[0, 1\], .* \[7, 7',
        ),
    ],
)
def test_bad_samples_are_refused(sample, error, message):
    sample = dict(pred_score=[0.5] * 6, gt_label=[0]) | sample
    with pytest.raises(error, match=message):
        make_metric(class_counts=COUNTS).process(None, [sample])


def test_scores_of_different_lengths_are_refused():
    samples = [dict(pred_score=[0.5] * k, gt_label=[0]) for k in (3, 2)]
    with pytest.raises(ValueError, match=r'pred_score must be a vector, .* got \[\(2,\), \(3,\)\]'):
        make_metric().process(None, samples)


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(num_bins=0), 'num_bins must be an integer >= 1, got 0'),
        (dict(class_counts=[5, 0]), 'class 1 has 0 training images'),
        (dict(class_counts=COUNTS, many=10), 'few must not exceed many, got few=20, many=10'),
    ],
)
def test_bad_options_are_refused_before_the_first_evaluation(options, match):
    with pytest.raises(ValueError, match=match):
        make_metric(**options)
