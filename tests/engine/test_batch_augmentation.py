"""The batched form of every CIFAR config's augmentation, against the settings of its pipeline."""

import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmlt.engine.batch_augmentation import augment_in_batches

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
