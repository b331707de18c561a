"""FeatureGeometry against the functions and the loops, fed as the runner feeds it."""

import math

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS, MODELS
from mmpretrain.structures import DataSample
from reference import bce3s
from two_processes import on_two_processes

from mmlt.evaluation.feature_geometry import _padding
from mmlt.functional.geometry import feature_compactness, feature_separability

COUNTS = [101, 20, 19, 100, 3, 5000]  # unsorted, on both sides of both thresholds
GROUPS = {'many': [0, 5], 'medium': [1, 3], 'few': [2, 4]}
SUFFIXES = ['', '_std', '_many', '_medium', '_few']
WIDTH = 4


def make_metric(**options):
    return METRICS.build(dict(type='FeatureGeometry', class_counts=COUNTS) | options)


def draw(seed=0, num_samples=61):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(6, (num_samples,), generator=generator)
    labels[:12] = torch.arange(6).repeat(2)
    means = torch.randn(6, WIDTH, generator=generator)
    return means[labels] + torch.randn(num_samples, WIDTH, generator=generator), labels


def to_samples(features, labels):
    samples = [DataSample().set_gt_label(label) for label in labels.tolist()]
    for sample, row in zip(samples, features):
        sample.set_field(row, 'features')
    return samples


def evaluate(features, labels, metric, batch=7, size=None):
    """Go the runner's way: data samples to dicts, batch after batch, then one evaluation."""
    evaluator = Evaluator(metric)
    samples = to_samples(features, labels)
    for start in range(0, len(samples), batch):
        evaluator.process(data_samples=samples[start : start + batch], data_batch=None)
    return evaluator.evaluate(size=len(samples) if size is None else size)


def of_loops(features, labels, centering):
    of_class = [features[labels == k].tolist() for k in range(6)]
    return {
        'compactness': [bce3s.eq_14(of_class, k) for k in range(6)],
        'separability': [bce3s.eq_15(of_class, k, centering) for k in range(6)],
    }


@pytest.mark.parametrize('centering', ['class', 'global'])
@pytest.mark.parametrize('batch', [1, 7, 61])
def test_all_figures_are_the_loops(batch, centering):
    features, labels = draw()
    metric = make_metric(separability=centering)
    got = evaluate(features, labels, metric, batch)
    wanted = {}
    for name, values in of_loops(features, labels, centering).items():
        values = torch.tensor(values, dtype=torch.float64)
        wanted[f'geometry/{name}'] = values.mean().item()
        wanted[f'geometry/{name}_std'] = values.std(correction=0).item()
        for group, classes in GROUPS.items():
            wanted[f'geometry/{name}_{group}'] = values[classes].mean().item()
        assert metric.per_class[name].tolist() == pytest.approx(values.tolist())
    assert got == pytest.approx(wanted)
    names = ('compactness', 'separability')
    assert list(got) == [f'geometry/{name}{suffix}' for name in names for suffix in SUFFIXES]
    assert all(isinstance(value, float) for value in got.values())


def test_without_separability_only_the_last_batch_is_kept():
    features, labels = draw()
    metric = make_metric(separability=None)
    for start in range(0, 61, 7):
        metric.process(None, [s.to_dict() for s in to_samples(features, labels)[start : start + 7]])
        assert [len(batch) for _, batch in metric.results] == [min(7, 61 - start)]
    got = metric.evaluate(size=61)
    whole = evaluate(features, labels, make_metric())
    assert got == pytest.approx({name: whole[name] for name in whole if 'compactness' in name})
    assert list(metric.per_class) == ['compactness']


@pytest.mark.parametrize('separability', ['class', None])
def test_a_second_evaluation_starts_anew(separability):
    metric = make_metric(separability=separability)
    first = evaluate(*draw(), metric)
    assert evaluate(*draw(1), metric) != first
    assert evaluate(*draw(), metric) == first
    assert metric.results == []


@pytest.mark.parametrize(('separability', 'batch'), [('global', 2), ('class', 100), (None, 5)])
def test_the_runners_padding_is_cut_off(separability, batch):
    features, labels = draw()
    metric = make_metric(separability=separability)
    got = evaluate(features, labels, metric, batch=batch, size=60)
    assert got == evaluate(features[:60], labels[:60], metric, batch=batch)


def test_padding_of_more_than_the_last_batch_is_refused_where_the_rest_is_summed():
    message = 'size 50 of the dataset leaves 50 samples .* 56 are summed already'
    with pytest.raises(ValueError, match=message):
        evaluate(*draw(), make_metric(separability=None), size=50)
    got = evaluate(*draw(), make_metric(), size=50)
    assert got == evaluate(*(part[:50] for part in draw()), make_metric())


def test_classes_without_a_value_are_left_out():
    features, labels = draw()
    kept = (labels != 0) & (labels != 1)
    kept[0] = True  # one sample of class 0, none of class 1
    features, labels = features[kept], labels[kept]
    metric = make_metric(separability='global')
    got = evaluate(features, labels, metric)
    assert metric.per_class['compactness'].isnan().tolist() == [True, True] + [False] * 4
    assert metric.per_class['separability'].isnan().tolist() == [False, True] + [False] * 4
    compactness = feature_compactness(features, labels, 6)
    assert got['geometry/compactness'] == pytest.approx(compactness[2:].mean().item())
    assert got['geometry/compactness_many'] == pytest.approx(compactness[5].item())
    separability = feature_separability(features, labels, 6, 'global')[[0, 2, 3, 4, 5]]
    wanted = separability.std(correction=0).item()
    assert got['geometry/separability_std'] == pytest.approx(wanted)


def test_nothing_evaluated_is_nan():
    got = make_metric().evaluate(size=0)
    assert len(got) == 10
    assert all(math.isnan(value) for value in got.values())


def test_other_thresholds_and_prefix():
    metric = make_metric(many=99, few=21, prefix='val')
    got = evaluate(*draw(), metric)
    values = metric.per_class['compactness']
    assert got['val/compactness_many'] == pytest.approx(values[[0, 3, 5]].mean().item())
    assert math.isnan(got['val/compactness_medium'])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_low_precision_is_that_of_the_features_only(dtype):
    features, labels = draw()
    got = evaluate(features.to(dtype), labels, make_metric())
    assert got == pytest.approx(evaluate(features.to(dtype).double(), labels, make_metric()))


def test_a_head_that_keeps_them_hands_a_classifiers_features_to_the_metrics():
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='CifarResNet', depth=20),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='TripartiteHead', num_classes=6, in_channels=64, keep_features=True),
        )
    ).eval()
    images, labels = torch.rand(24, 3, 8, 8), torch.arange(6).repeat(4)
    samples = [DataSample().set_gt_label(label) for label in labels.tolist()]
    # ShotAccuracy does not mind.
    evaluator = Evaluator([make_metric(), make_metric(type='ShotAccuracy')])
    with torch.no_grad():
        features = model.extract_feat(images)[-1]
        for rows in (slice(0, 10), slice(10, 24)):
            predicted = model.predict(images[rows], samples[rows])
            evaluator.process(data_samples=predicted, data_batch=None)
        right = model.head((features,)).argmax(dim=1) == labels
    got = evaluator.evaluate(size=24)
    wanted = feature_compactness(features, labels, 6).mean().item()
    assert got['geometry/compactness'] == pytest.approx(wanted)
    assert got['shot/all'] == pytest.approx(100 * right.double().mean().item())


def share(num_samples, separability, round_up=True, collect_device='cpu', scale=1.0):
    """Evaluate ``num_samples``, dealt out as ``DefaultSampler`` does; all on one process alone."""
    features, labels = draw(num_samples=61)
    metric = make_metric(separability=separability, collect_device=collect_device)
    sampler = DefaultSampler(range(num_samples), shuffle=False, round_up=round_up)
    samples = [s.to_dict() for s in to_samples(scale * features, labels)]
    for rows in torch.tensor(list(sampler), dtype=torch.int64).split(5):
        if len(rows):
            metric.process(None, [samples[row] for row in rows])
    return metric.evaluate(size=num_samples), metric.per_class


SHARES = [
    (61, 'global'),  # one sample of padding
    (60, 'class'),
    (61, None),
    (60, None),
    (61, 'global', False),
    (61, 'class', True, 'gpu'),
    (1, 'global', False),  # nothing for the second process
    (1, None),
    (61, 'global', True, 'cpu', math.nan),  # a model that diverged
]


def shares():
    return [share(*arguments) for arguments in SHARES]


@pytest.fixture(scope='module')
def on_two(tmp_path_factory):
    """What rank 0 and rank 1 get of all :data:`SHARES`."""
    return on_two_processes(shares, tmp_path_factory.mktemp('ranks'))


@pytest.mark.parametrize('index', range(len(SHARES)), ids=[str(share) for share in SHARES])
def test_two_processes_equal_one(index, on_two):
    (first, per_class), (second, of_second) = (rank[index] for rank in on_two)
    wanted, wanted_per_class = share(*SHARES[index])
    for got in (first, second):
        assert got == pytest.approx(wanted, rel=1e-9, nan_ok=True)
    torch.testing.assert_close(per_class, wanted_per_class, rtol=1e-9, atol=0, equal_nan=True)
    assert of_second == {}
    if SHARES[index][0] > 1 and len(SHARES[index]) < 5:
        assert not any(math.isnan(value) for value in wanted.values())


@pytest.mark.parametrize('lengths', [[4, 4], [5, 4], [1, 0, 0], [2, 6, 3], [0, 3]])
def test_padding_is_what_the_results_of_base_metric_lose(lengths):
    # The runner takes a result from each process in turn.
    turns = [rank for turn in range(max(lengths)) for rank, n in enumerate(lengths) if turn < n]
    for size in range(sum(lengths) + 3):
        for rank, length in enumerate(lengths):
            assert _padding(lengths, rank, size) == length - turns[:size].count(rank)


@pytest.mark.parametrize(
    ('sample', 'message'),
    [
        (dict(features=torch.ones(())), r'features must be a vector in each .* got \(\)'),
        (dict(features=torch.ones(2, 2)), r'features must be a vector in each .* got \(2, 2\)'),
        (dict(gt_label=[0, 1]), r'gt_label must be one class a sample, got \(2,\)'),
        (dict(gt_label=[6]), 'label 6 of the evaluated set is not one of the 6 classes'),
        (dict(gt_label=[-1]), 'label -1 of the evaluated set is not one of the 6 classes'),
    ],
)
def test_bad_samples_are_refused(sample, message):
    with pytest.raises(ValueError, match=message):
        make_metric().process(None, [dict(features=torch.ones(WIDTH), gt_label=[0]) | sample])


def test_samples_without_features_are_refused_with_the_remedy():
    message = r"so keep_features=True in the head, got \['gt_label'\]"
    with pytest.raises(ValueError, match=message):
        make_metric().process(None, [DataSample().set_gt_label(0).to_dict()])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(class_counts=[5, 0]), 'class 1 has 0 training images'),
        (dict(many=10), 'few must not exceed many, got few=20, many=10'),
        (dict(separability='printed'), "separability must be 'class', .* got 'printed'"),
    ],
)
def test_bad_options_are_refused_before_the_first_evaluation(options, message):
    with pytest.raises(ValueError, match=message):
        make_metric(**options)
