from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.hooks import DistSamplerSeedHook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import DATA_SAMPLERS, DATASETS
from scipy.stats import chi2_contingency, chisquare
from two_processes import on_two_processes

import mmlt.datasets.samplers  # noqa: F401

DIGITS = Path(__file__).parents[2] / 'configs/_base_/datasets/digits-lt.py'
# Class 2 has no images.
COUNTS = [60, 25, 0, 9, 5, 1]


class Labelled:
    """A dataset that knows its labels and nothing else."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def get_gt_labels(self):
        return self.labels


def shuffled_labels(counts=COUNTS) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


LABELS = shuffled_labels()


def build(labels=LABELS, **options):
    dataset = labels if hasattr(labels, 'get_gt_labels') else Labelled(labels)
    return DATA_SAMPLERS.build(
        {'type': 'ClassBalancedSampler', 'dataset': dataset, 'seed': 0, **options}
    )


def draw(sampler, epoch=0) -> list[int]:
    sampler.set_epoch(epoch)
    return list(sampler)


def expected(power, share=1.0, counts=COUNTS) -> list[float]:
    """Kang et al., eqs. 1 and 2, class by class."""
    weights = [n ** (1.0 - power) if n else 0.0 for n in counts]
    return [
        (1 - share) * n / sum(counts) + share * weight / sum(weights)
        for n, weight in zip(counts, weights)
    ]


def check_frequencies(observed, probabilities):
    """Neither further from the probabilities than chance allows, nor closer."""
    observed, probabilities = np.asarray(observed), np.asarray(probabilities)
    assert not observed[probabilities == 0].any()
    drawn = probabilities > 0
    wanted = probabilities[drawn] * observed.sum()
    assert wanted.min() > 5
    assert 1e-5 < chisquare(observed[drawn], wanted).pvalue < 1 - 1e-5


@pytest.mark.parametrize(
    ('options', 'epoch', 'power', 'share'),
    [
        (dict(), 0, 1, 1),
        (dict(power=0.5), 3, 0.5, 1),
        (dict(power=2), 0, 2, 1),
        (dict(progressive_epochs=5), 1, 1, 0.25),
        (dict(progressive_epochs=5, power=0.5), 2, 0.5, 0.5),
        (dict(progressive_epochs=5), 9, 1, 1),
    ],
)
def test_classes_are_drawn_with_their_probability_and_images_of_a_class_alike(
    options, epoch, power, share
):
    sampler = build(num_samples=100_000, **options)
    draws = np.array(draw(sampler, epoch))
    probabilities = expected(power, share)
    np.testing.assert_allclose(sampler.class_probabilities(), probabilities, rtol=1e-12)
    check_frequencies(np.bincount(LABELS[draws], minlength=len(COUNTS)), probabilities)
    check_frequencies(
        np.bincount(draws, minlength=len(LABELS)),
        np.array([probabilities[label] / COUNTS[label] for label in LABELS]),
    )


def test_successive_draws_are_independent():
    classes = LABELS[draw(build(num_samples=100_000))]
    table = np.zeros((len(COUNTS), len(COUNTS)))
    np.add.at(table, (classes[:-1], classes[1:]), 1)
    table = np.delete(np.delete(table, 2, axis=0), 2, axis=1)
    assert 1e-5 < chi2_contingency(table).pvalue < 1 - 1e-5


@pytest.mark.parametrize('options', [dict(power=0.5), dict(power=1.5, progressive_epochs=3)])
def test_renamed_classes_keep_their_frequencies(options):
    names = np.array([4, 2, 5, 0, 3, 1])
    old = build(num_samples=50_000, **options)
    new = build(names[LABELS], num_samples=50_000, **options)
    tables = [
        np.bincount(labels[draw(sampler, epoch=1)], minlength=len(COUNTS))
        for sampler, labels in ((old, LABELS), (new, names[LABELS]))
    ]
    missing = len(names) - new.class_probabilities().numel()
    padded = np.pad(new.class_probabilities(), (0, missing))
    np.testing.assert_allclose(padded[names], old.class_probabilities(), rtol=1e-12)
    both = np.delete(np.stack([tables[0], tables[1][names]]), 2, axis=1)
    assert chi2_contingency(both).pvalue > 1e-5


@pytest.mark.parametrize(
    'options', [dict(power=0), dict(power=0.0, progressive_epochs=4), dict(progressive_epochs=4)]
)
def test_instance_balanced_epochs_are_those_of_the_default_sampler(options):
    default = DefaultSampler(LABELS, seed=3)
    sampler = build(seed=3, **options)
    for epoch in (0, 1, 5) if options.get('power') == 0 else (0,):
        assert draw(sampler, epoch) == draw(default, epoch)


@pytest.mark.parametrize(('num_samples', 'times'), [(30, {1}), (250, {2, 3})])
def test_instance_balanced_draws_of_another_number_repeat_no_image_early(num_samples, times):
    draws = draw(build(power=0, num_samples=num_samples))
    assert len(draws) == num_samples
    assert set(Counter(draws).values()) == times


@pytest.mark.parametrize(
    ('progressive_epochs', 'shares'),
    [(None, [1, 1, 1]), (1, [1, 1, 1]), (2, [0, 1, 1]), (3, [0, 0.5, 1, 1])],
)
def test_progressive_sampling_ends_with_the_last_of_its_epochs(progressive_epochs, shares):
    sampler = build(power=0.5, progressive_epochs=progressive_epochs)
    for epoch, share in enumerate(shares):
        sampler.set_epoch(epoch)
        np.testing.assert_allclose(sampler.class_probabilities(), expected(0.5, share), rtol=1e-12)


@pytest.mark.parametrize('power', [300.0, 1e308])
def test_large_powers_leave_the_rarest_class(power):
    sampler = build(np.repeat([0, 1, 2], [100, 10, 20]), power=power)
    assert sampler.class_probabilities().tolist() == pytest.approx([0, 1, 0], abs=1e-30)
    assert set(draw(sampler)) <= set(range(100, 110))


@pytest.mark.parametrize('options', [dict(), dict(power=0), dict(progressive_epochs=4)])
def test_resumed_run_draws_the_epochs_of_the_unbroken_one(options):
    unbroken = build(**options)
    epochs = [draw(unbroken, epoch) for epoch in range(4)]
    resumed = build(**options)
    assert [draw(resumed, epoch) for epoch in (2, 3)] == epochs[2:]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert draw(build(seed=1, **options), 3) != epochs[3]
    assert {len(epoch) for epoch in epochs} == {len(unbroken)} == {len(LABELS)}


SPLITS = {
    'even': dict(num_samples=12),
    'padded': dict(num_samples=13),
    'ragged': dict(num_samples=13, round_up=False),
    'nothing for one': dict(num_samples=1, round_up=False),
    'progressive': dict(progressive_epochs=3),
    'permutation': dict(power=0),
}


def shares():
    """Draws and stated length of this process, and the seed drawn if there is none."""
    samplers = {name: build(**options) for name, options in SPLITS.items()}
    results = {name: [len(sampler), draw(sampler, 1)] for name, sampler in samplers.items()}
    return results | dict(seed=build(seed=None).seed)


@pytest.fixture(scope='module')
def on_two(tmp_path_factory):
    return on_two_processes(shares, tmp_path_factory.mktemp('ranks'))


@pytest.mark.parametrize('name', SPLITS)
def test_two_processes_share_the_draws_of_one(name, on_two):
    one = draw(build(**SPLITS[name]), 1)
    if SPLITS[name].get('round_up', True):
        one += one[: len(one) % 2]
    assert [rank[name] for rank in on_two] == [[len(own), own] for own in (one[::2], one[1::2])]


def test_processes_without_a_seed_agree_on_one(on_two):
    assert on_two[0]['seed'] == on_two[1]['seed']


@pytest.fixture
def mmpretrain_scope():
    """The default scope of a run, in which mmengine's wrappers and loaders find our names."""
    DefaultScope.get_instance('samplers', scope_name='mmpretrain')


@pytest.mark.usefixtures('mmpretrain_scope')
def test_runner_builds_it_from_a_config_and_sets_its_epoch():
    cfg = Config.fromfile(DIGITS).train_dataloader
    cfg.sampler = dict(type='ClassBalancedSampler', progressive_epochs=2)
    loader = Runner.build_dataloader(cfg, seed=5)
    assert loader.sampler.seed == 5
    hook = DistSamplerSeedHook()
    counts = []
    for epoch in range(2):
        runner = SimpleNamespace(train_loop=SimpleNamespace(dataloader=loader), epoch=epoch)
        hook.before_train_epoch(runner)
        labels = [int(s.gt_label) for batch in loader for s in batch['data_samples']]
        counts.append(np.bincount(labels, minlength=10))
    assert counts[0].tolist() == loader.dataset.class_counts
    assert counts[1].sum() == len(loader.dataset)
    check_frequencies(counts[1], [0.1] * 10)


@pytest.fixture
def listed(tmp_path):
    """Config of a dataset of a list of images, none of which exists."""
    path = tmp_path / 'list.txt'
    path.write_text(''.join(f'{i}.png {k}\n' for i, k in enumerate([0, 2, 1, 0, 0, 2])))
    return dict(type='CustomDataset', ann_file=str(path), classes=['a', 'b', 'c'])


@pytest.mark.usefixtures('mmpretrain_scope')
@pytest.mark.parametrize('lazy_init', [False, True])
@pytest.mark.parametrize(
    ('wrap', 'counts'),
    [
        (lambda x: x, [3, 1, 2]),
        (lambda x: dict(type='LongTailedDataset', dataset=x, class_counts=[2, 1, 1]), [2, 1, 1]),
        (lambda x: dict(type='ConcatDataset', datasets=[x, x]), [6, 2, 4]),
        (lambda x: dict(type='RepeatDataset', dataset=x, times=3), [9, 3, 6]),
        (lambda x: dict(type='ClassBalancedDataset', dataset=x, oversample_thr=0.5), [3, 2, 4]),
        (lambda x: dict(type='KFoldDataset', dataset=x, num_splits=3), [2, 1, 1]),
    ],
    ids=['custom', 'long-tailed', 'concat', 'repeat', 'class-balanced', 'k-fold'],
)
def test_labels_are_read_through_wrappers_and_without_an_image(wrap, counts, lazy_init, listed):
    dataset = DATASETS.build(wrap({**listed, 'lazy_init': lazy_init}))
    sampler = DATA_SAMPLERS.build(dict(type='ClassBalancedSampler', dataset=dataset, seed=0))
    assert sampler.class_counts.tolist() == counts
    labels = [dataset.get_data_info(i)['gt_label'] for i in sampler]
    assert set(labels) <= {0, 1, 2}
    assert len(labels) == sum(counts)


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(power=-0.5), ValueError, 'power must be >= 0 and finite, got -0.5'),
        (dict(power=float('nan')), ValueError, 'power must be >= 0 and finite, got nan'),
        (dict(power=float('inf')), ValueError, 'power must be >= 0 and finite, got inf'),
        (dict(power='1'), TypeError, "power must be a number, got '1'"),
        (dict(power=True), TypeError, 'power must be a number, got True'),
        (dict(progressive_epochs=0), ValueError, 'progressive_epochs must be >= 1, got 0'),
        (dict(progressive_epochs=2.0), TypeError, 'progressive_epochs must be an integer or None'),
        (dict(num_samples=-3), ValueError, 'num_samples must be >= 1, got -3'),
        (dict(num_samples=True), TypeError, 'num_samples must be an integer or None, got True'),
        (dict(labels=[]), ValueError, 'Labelled has no samples'),
        (dict(labels=[0, -1]), ValueError, 'label >= 0 for each of the 2 samples .* got -1'),
        (dict(labels=[0.0, 1.0]), ValueError, 'one integer label .* got float64'),
        (dict(labels=[[0, 1], [1, 0]]), ValueError, r'got labels of shape \(2, 2\)'),
        (
            dict(labels=[[0, 1], [1]]),
            ValueError,
            'one integer label >= 0 .* inhomogeneous',
        ),
    ],
)
def test_bad_input_is_named(options, error, message):
    with pytest.raises(error, match=message):
        build(**options)


@pytest.mark.parametrize('dataset', [[1, 2, 3], torch.utils.data.TensorDataset(torch.ones(2))])
def test_a_dataset_must_tell_its_labels(dataset):
    with pytest.raises(TypeError, match=f'{type(dataset).__name__} does not: AttributeError'):
        DATA_SAMPLERS.build(dict(type='ClassBalancedSampler', dataset=dataset, seed=0))


@pytest.mark.usefixtures('mmpretrain_scope')
def test_epochs_are_shortened_by_the_sampler_and_not_by_the_loader():
    cfg = Config.fromfile(DIGITS).train_dataloader
    cfg.sampler = dict(type='ClassBalancedSampler')
    with pytest.raises(ValueError, match='use num_samples of the sampler'):
        Runner.build_dataloader({**cfg, 'num_batch_per_epoch': 2})
    cfg.sampler.num_samples = 64
    assert len(Runner.build_dataloader(cfg)) == 2
