"""Partners to mix with: how often each is drawn, and that images, labels and partners agree."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS, MODELS
from scipy.stats import chisquare

import mmlt  # noqa: F401
from mmlt.datasets import LongTailedDataset, MixPartnerDataset
from mmlt.models.targets import view_targets

DIGITS_CONFIG = Path(__file__).parents[2] / 'configs/bce3s/resnet20_digits-lt.py'
# Class 2 has no images.
COUNTS = [60, 25, 0, 9, 5, 1]
K = len(COUNTS)
PACK = [dict(type='PackInputs')]


class Colours(BaseDataset):
    """Images of one colour, which tells the label and the number of the image."""

    METAINFO = {'classes': tuple('abcdef')}

    def __init__(self, pipeline=PACK, counts=COUNTS, **kwargs):
        labels = np.repeat(np.arange(len(counts)), counts)
        self.labels = np.random.default_rng(0).permutation(labels)
        super().__init__(ann_file='', pipeline=pipeline, **kwargs)

    def load_data_list(self):
        return [
            dict(img=np.full((4, 4, 3), [40 * k, i, 7], np.uint8), gt_label=int(k), sample_idx=i)
            for i, k in enumerate(self.labels)
        ]


def colour(image) -> tuple[int, int]:
    """Label and number that an image of one colour shows."""
    values = image.flatten(1)
    assert (values == values[:, :1]).all()
    return round(values[0, 0].item() / 40), round(values[1, 0].item())


@pytest.mark.parametrize('power', [0, 0.5, 1, 2])
def test_partners_have_their_probability_and_images_of_a_class_are_alike(power):
    dataset = MixPartnerDataset(Colours(), power=power)
    weights = np.array([n ** (1.0 - power) if n else 0.0 for n in COUNTS])
    np.testing.assert_allclose(dataset.partner_probabilities, weights / weights.sum(), rtol=1e-12)
    np.random.seed(1)
    partners = np.array([dataset._draw_partner() for _ in range(60_000)])
    labels = Colours().labels
    wanted = np.array([weights[k] / weights.sum() / COUNTS[k] for k in labels]) * len(partners)
    assert wanted.min() > 5
    drawn = np.bincount(partners, minlength=len(labels))
    assert 1e-4 < chisquare(drawn, wanted).pvalue < 1 - 1e-4
    # The number of each class has a narrower distribution than its images' numbers show.
    of_class, wanted = np.bincount(labels[partners], minlength=K), weights / weights.sum()
    seen = wanted > 0
    assert of_class[2] == 0
    assert 1e-4 < chisquare(of_class[seen], wanted[seen] * len(partners)).pvalue < 1 - 1e-4


def test_the_partner_is_independent_of_the_image():
    dataset = MixPartnerDataset(Colours(), power=1)
    np.random.seed(0)
    partners = [
        [dataset[i]['data_samples'].partner_label.item() for _ in range(400)] for i in (0, 1)
    ]
    tables = np.stack([np.bincount(row, minlength=K) for row in partners])
    wanted = 400 * dataset.partner_probabilities
    assert all(chisquare(np.delete(t, 2), np.delete(wanted, 2)).pvalue > 1e-4 for t in tables)


def test_an_item_holds_image_partner_and_both_labels():
    dataset = MixPartnerDataset(Colours())
    np.random.seed(3)
    for i in range(len(dataset)):
        item = dataset[i]
        (label, number), (partner_label, _) = map(colour, item['inputs'])
        sample = item['data_samples']
        assert (label, number) == (sample.gt_label.item(), i)
        assert sample.sample_idx == i
        assert sample.partner_label.tolist() == [partner_label]
        assert sample.partner_label.dtype == torch.int64


def test_draws_repeat_with_numpys_seed():
    dataset = MixPartnerDataset(Colours())

    def draws(seed):
        np.random.seed(seed)
        return [colour(dataset[i]['inputs'][1])[1] for i in range(30)]

    assert draws(0) == draws(0) != draws(1)


@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize('collate', ['default_collate', 'pseudo_collate'])
def test_loaded_batches_are_mixed_with_the_labels_of_the_right_partners(collate, num_workers):
    DefaultScope.get_instance('partners', scope_name='mmpretrain')
    loader_config = dict(
        batch_size=16,
        num_workers=num_workers,
        dataset=MixPartnerDataset(Colours()),
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type=collate),
    )
    preprocessor = MODELS.build(
        dict(type='MultiViewDataPreprocessor', num_classes=K, partner='weighted')
    )
    pairs = set()
    np.random.seed(0)
    for data in Runner.build_dataloader(loader_config, seed=0):
        partners = [colour(image)[0] for image in data['inputs'][1]]
        batch = preprocessor(data, training=True)
        plain, mixup, cutmix = batch['inputs'].chunk(3)
        own_labels, *scores = view_targets(batch['data_samples'])
        labels = [colour(image)[0] for image in plain]
        assert [s.gt_label.item() for s in batch['data_samples']] == labels
        assert own_labels.tolist() == labels
        for i, (own, other) in enumerate(zip(labels, partners)):
            mixed = scores[0][i]
            lam = mixed[own].item() if own != other else 1.0
            wanted = torch.zeros(K)
            wanted[own] += lam
            wanted[other] += 1 - lam
            torch.testing.assert_close(mixed, wanted)
            shown = mixup[i, 0, 0, 0].item()
            assert shown == pytest.approx(40 * (lam * own + (1 - lam) * other), abs=1e-3)
            # The share of the partner's pixels is its share of the label.
            pasted = (cutmix[i, 0] == 40 * other).float().mean().item()
            score = scores[1][i, other].item()
            assert score == pytest.approx(pasted, abs=1e-6)
            pairs.add((own, other))
    assert len(pairs) > 10


@pytest.mark.parametrize('begin_epoch', [9, 1], ids=['first stage', 'into the second stage'])
def test_a_run_with_weighted_partners_ends_in_weights_of_its_own(begin_epoch, tmp_path):
    weights = {}
    for name, power in (('batch', None), ('one', 1.0), ('again', 1.0), ('uniform', 0.0)):
        cfg = Config.fromfile(DIGITS_CONFIG)
        if power is not None:
            cfg.data_preprocessor.partner = 'weighted'
            cfg.train_dataloader.dataset = dict(
                type='MixPartnerDataset', power=power, dataset=cfg.train_dataloader.dataset
            )
        cfg.train_cfg.update(max_epochs=2 if begin_epoch == 1 else 1)
        cfg.default_hooks.retraining.begin_epoch = begin_epoch
        cfg.param_scheduler = []
        cfg.work_dir = str(tmp_path / name)
        cfg.experiment_name = f'{tmp_path.name}-{name}'
        runner = Runner.from_cfg(cfg)
        runner.train()
        weights[name] = runner.model.backbone.state_dict()
    assert all(value.isfinite().all() for value in weights['one'].values())
    equal = [
        all(torch.equal(value, weights[name][key]) for key, value in weights['one'].items())
        for name in ('again', 'uniform', 'batch')
    ]
    assert equal == [True, False, False]


@pytest.mark.parametrize('lazy_init', [False, True])
def test_what_hooks_and_samplers_read_is_that_of_the_wrapped_dataset(lazy_init):
    base = LongTailedDataset(Colours(counts=[9] * K, lazy_init=True), [8, 4, 2, 2, 1, 1])
    dataset = MixPartnerDataset(base, lazy_init=lazy_init)
    assert hasattr(dataset, 'partner_probabilities') != lazy_init
    assert len(dataset) == len(base) == 18
    assert dataset.get_gt_labels().tolist() == base.get_gt_labels().tolist()
    assert [dataset.get_cat_ids(i) for i in range(18)] == [base.get_cat_ids(i) for i in range(18)]
    infos = [
        (d.get_data_info(5)['sample_idx'], d.get_data_info(5)['gt_label']) for d in (dataset, base)
    ]
    assert infos[0] == infos[1]
    assert (dataset.metainfo, dataset.CLASSES) == (base.metainfo, tuple('abcdef'))
    assert dataset.class_to_idx == base.class_to_idx
    assert 'power 1.0) of\n    Dataset LongTailedDataset (18 images' in repr(dataset)
    dataset.pipeline = lambda info: info['gt_label'] + 100
    assert base[0] == 100
    assert dataset.pipeline is base.dataset.pipeline


def test_it_is_built_from_configs_and_passes_on_lazy_init():
    config = dict(type='DigitsLT', pipeline=PACK, lazy_init=True)
    dataset = DATASETS.build(dict(type='MixPartnerDataset', dataset=config, power=0.5))
    assert not hasattr(dataset, 'partner_probabilities')
    assert len(dataset[0]['inputs']) == 2
    assert len(dataset.partner_probabilities) == 10
    wrapped = dict(type='LongTailedDataset', dataset=config, class_counts='digits-lt-if50')
    assert len(DATASETS.build(dict(type='MixPartnerDataset', dataset=wrapped))) == 314


@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
def test_partner_labels_stay_with_their_samples_in_a_batch(collate):
    dataset = MixPartnerDataset(Colours())
    np.random.seed(2)
    batch = collate([dataset[i] for i in range(8)])
    assert [len(view) for view in batch['inputs']] == [8, 8]
    shown = [colour(image)[0] for image in batch['inputs'][1]]
    assert [s.partner_label.item() for s in batch['data_samples']] == shown


MULTI_VIEW = [dict(type='MultiView', num_views=2, transforms=[[]]), *PACK]


@pytest.mark.parametrize(
    ('build', 'error', 'message'),
    [
        (lambda: MixPartnerDataset(Colours(), -1), ValueError, 'power must be >= 0 .* got -1'),
        (
            lambda: MixPartnerDataset(Colours(lazy_init=True), float('nan'), lazy_init=True),
            ValueError,
            'power must be >= 0 and finite, got nan',
        ),
        (lambda: MixPartnerDataset([1, 2]), TypeError, 'list does not: AttributeError'),
        (
            lambda: MixPartnerDataset(Colours(pipeline=[]))[0],
            TypeError,
            r"ends with PackInputs, .* gives dict with \['gt_label', 'img', 'sample_idx'\]",
        ),
        (
            lambda: MixPartnerDataset(Colours(pipeline=[lambda info: 3]))[0],
            TypeError,
            'ends with PackInputs, the wrapped dataset gives int',
        ),
        (
            lambda: MixPartnerDataset(Colours(pipeline=MULTI_VIEW))[0],
            ValueError,
            'takes one view of each image, the wrapped dataset gives 2',
        ),
    ],
)
def test_bad_use_is_named(build, error, message):
    with pytest.raises(error, match=message):
        build()
