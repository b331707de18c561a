"""The batched form of every CIFAR config's augmentation, against the settings of its pipeline."""

import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from PIL import Image

from mmlt.engine.fast_data import augment_in_batches, keep_in_memory

AUTO = dict(
    type='BatchCifarAugment', size=32, padding=4, flip=0.5, auto_augment=True, cutout=16
)  # fmt: skip
SIM = dict(
    type='BatchSimAugment',
    size=32,
    area=(0.2, 1.0),
    ratio=(3 / 4, 4 / 3),
    flip=0.5,
    jitter=(0.4, 0.4, 0.4, 0.1),
    jitter_prob=0.8,
    grey=0.2,
    blur=0.0,
)
CASES = {
    'baselines/ce_resnet32_cifar100-lt-if100.py': AUTO,
    'bce3s/resnet34_cifar100-lt-if100_weighted-partner.py': AUTO,
    'bcl/resnet32_cifar10-lt-if100.py': [AUTO, SIM, SIM],
    'dbm/bcl_resnet32_cifar100-lt-if100.py': [AUTO, SIM | dict(blur=0.5)] + [SIM | dict(blur=0.5)],
    'dbm/dbm-bs_resnet32_cifar100-lt-if100_steps.py': AUTO | dict(auto_augment=False, cutout=0),
}


@pytest.mark.parametrize('path', CASES)
def test_the_preprocessor_takes_over_what_the_pipeline_said(path):
    cfg = Config.fromfile(f'configs/{path}')
    before = cfg.data_preprocessor.to_dict() if 'data_preprocessor' in cfg else {}
    augment_in_batches(cfg)
    after = cfg.data_preprocessor.to_dict()
    assert after.pop('augment') == CASES[path]
    plain = dict(type='MultiViewDataPreprocessor', views='plain')
    assert after == (before if 'type' in before else before | plain)
    dataset = cfg.train_dataloader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.dataset
    assert {step['type'] for step in dataset.pipeline} <= {'LoadImageFromFile', 'PackInputs'}
    MODELS.build(cfg.data_preprocessor | dict(augment=CASES[path]))


@pytest.mark.parametrize(
    ('steps', 'said'),
    [
        ([dict(type='Resize', scale=32)], 'Resize.*have no batched form'),
        ([dict(type='RandomFlip', prob=0.5), dict(type='RandomCrop', crop_size=32)], 'this order'),
        ([dict(type='RandomCrop', crop_size=32, pad_val=3)], r"RandomCrop: \['pad_val'\]"),
        ([dict(type='RandomFlip', prob=0.5, direction='vertical')], "direction='vertical'"),
    ],
    ids=['unknown', 'order', 'argument', 'value'],
)
def test_what_has_no_batched_form_is_refused(steps, said):
    cfg = Config(dict(train_dataloader=dict(dataset=dict(pipeline=steps))))
    with pytest.raises(ValueError, match=said):
        augment_in_batches(cfg)


def test_a_digits_config_is_translated_or_refused_whole():
    """A refusal leaves the config as it was: the run must not go on with half of it."""
    cfg = Config.fromfile('configs/bce3s/resnet20_digits-lt.py')
    before = cfg.pretty_text
    try:
        augment_in_batches(cfg)
    except ValueError:
        assert cfg.pretty_text == before
    else:
        assert cfg.data_preprocessor.augment


def folder_config(tmp_path, workers):
    """Six PNG images in two classes, each loaded, flipped at random, and packed."""
    for number in range(6):
        folder = tmp_path / 'images' / 'ab'[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(256, size=(8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{number}.png')
    flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
    pipeline = [dict(type='LoadImageFromFile'), flip, dict(type='PackInputs')]
    images = dict(type='CustomDataset', data_root=str(tmp_path / 'images'), pipeline=pipeline)
    loader = dict(num_workers=workers, persistent_workers=False)
    return Config(dict(train_dataloader=dict(loader, dataset=dict(type='RepeatDataset', times=1,
                                                                  dataset=images))))  # fmt: skip


@pytest.mark.parametrize('kind', ['mmcv.LoadImageFromFile', LoadImageFromFile])
def test_a_transform_may_have_its_registry_in_its_name_or_be_a_class(kind, tmp_path):
    cfg = folder_config(tmp_path, 0)
    pipeline = cfg.train_dataloader.dataset.dataset.pipeline
    pipeline[0].type = kind
    keep_in_memory(cfg, 1)
    assert pipeline[0].type == 'LoadImageOnce'
    pipeline[0], cfg.model = dict(type=kind), {}
    augment_in_batches(cfg)
    assert cfg.data_preprocessor.augment['flip'] == 0.5


@pytest.mark.parametrize('workers', [0, 2])
def test_images_in_memory_are_read_once_and_stay_what_they_were(workers, tmp_path):
    cfg = folder_config(tmp_path, workers)
    plain = DATASETS.build(cfg.train_dataloader.dataset.dataset)
    keep_in_memory(cfg, 1)
    assert cfg.train_dataloader.persistent_workers is (workers > 0)
    kept = DATASETS.build(cfg.train_dataloader.dataset.dataset)

    def images(dataset):
        np.random.seed(0)
        return torch.stack([item['inputs'] for item in dataset])

    first = images(plain)
    torch.testing.assert_close(images(kept), first)
    for path in tmp_path.glob('images/*/*.png'):
        path.unlink()
    torch.testing.assert_close(images(kept), first)
    with pytest.raises(FileNotFoundError):
        images(plain)


def test_full_memory_is_told_once_and_nothing_is_lost(tmp_path):
    cfg = folder_config(tmp_path, 0)
    keep_in_memory(cfg, 400 / 2**20)  # two of these images have 384 bytes
    dataset = DATASETS.build(cfg.train_dataloader.dataset.dataset)
    with pytest.warns(UserWarning, match='keeps 2 images, and max_mib=.* is full') as told:
        shapes = {dataset[index % 6]['inputs'].shape for index in range(12)}
    assert shapes == {(3, 8, 8)}
    assert len([w for w in told if 'LoadImageOnce' in str(w.message)]) == 1
    with pytest.raises(ValueError, match='max_mib must be > 0, got 0'):
        TRANSFORMS.build(dict(type='LoadImageOnce', max_mib=0))
    with pytest.raises(ValueError, match='does not begin by LoadImageFromFile'):
        keep_in_memory(Config.fromfile('configs/bce3s/resnet20_digits-lt.py'), 9)
