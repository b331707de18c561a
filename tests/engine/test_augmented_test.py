"""The passes of test-time augmentation that are made from a test pipeline."""

from copy import deepcopy
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torchvision.transforms.functional import five_crop

import mmlt  # noqa: F401
from mmlt.datasets.transforms import PlaceCrop
from mmlt.engine.augmented_test import with_tta

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture
def cfg():
    DefaultScope.get_instance('tta', scope_name='mmpretrain')
    return Config.fromfile(CONFIGS / 'dbm/dbm-bs_vit-base-p16_imagenet-lt.py')


@pytest.mark.parametrize(('height', 'width'), [(300, 420), (421, 300), (64, 64)])
def test_five_crops_are_torchvisions_of_the_resized_image(cfg, height, width, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mmcv.imwrite(image, str(tmp_path / 'image.png'))
    before = deepcopy(cfg.to_dict())
    pipeline = Compose(with_tta(cfg, '--five-crop').test_dataloader.dataset.pipeline)
    packed = pipeline(dict(img_path=str(tmp_path / 'image.png'), gt_label=3))
    assert cfg.to_dict() == before
    short = min(height, width)
    size = (round(width * 248 / short), round(height * 248 / short))
    # mmcv rounds a long edge by +0.5 and int(): the same here.
    resized = torch.from_numpy(mmcv.imresize(image, size)).permute(2, 0, 1)
    *corners, center = five_crop(resized, 224)
    assert len(packed['inputs']) == 5
    for found, wanted in zip(packed['inputs'], [center, *corners], strict=True):
        assert torch.equal(found, wanted)
    assert [sample.gt_label.item() for sample in packed['data_samples']] == [3] * 5
    assert [sample.img_shape for sample in packed['data_samples']] == [(224, 224)] * 5


def test_steps_after_the_crop_are_in_every_pass(cfg):
    steps = cfg.test_dataloader.dataset.pipeline
    steps.insert(-1, dict(type='RandomFlip', prob=1.0))
    pipeline = Compose(with_tta(cfg, '--five-crop').test_dataloader.dataset.pipeline[1:])
    image = np.random.default_rng(0).integers(0, 256, (248, 248, 3), np.uint8)
    packed = pipeline(dict(img=image.copy(), img_shape=(248, 248)))
    mirrored = torch.from_numpy(image[:224, :224][:, ::-1].copy()).permute(2, 0, 1)
    assert torch.equal(packed['inputs'][1], mirrored)


@pytest.mark.parametrize(
    ('pipeline', 'match'),
    [
        ([dict(type='CenterCrop', crop_size=8)], 'ResizeEdge and then CenterCrop'),
        ([dict(type='ResizeEdge', scale=9)], 'ResizeEdge and then CenterCrop'),
        ([dict(type='CenterCrop', crop_size=8), dict(type='ResizeEdge', scale=9)], 'and then'),
        ([dict(type='ResizeEdge', scale=9), dict(type='CenterCrop', crop_size=(8, 9))], 'square'),
        (
            [dict(type='ResizeEdge', scale=9, edge='long'), dict(type='CenterCrop', crop_size=8)],
            'a short ResizeEdge',
        ),
    ],
)
def test_pipeline_without_a_place_for_crops_is_refused(pipeline, match, cfg):
    cfg.test_dataloader.dataset.pipeline = [*pipeline, dict(type='PackInputs')]
    with pytest.raises(ValueError, match=match):
        with_tta(cfg, '--five-crop')


def test_a_crop_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="place must be one of .*, got 'middle'"):
        PlaceCrop(3, 'middle')
    with pytest.raises(ValueError, match='crop_size must be a positive integer, got 0'):
        PlaceCrop(0)
    with pytest.raises(ValueError, match='has 2 x 9 pixels, less than the crop of 3 x 3'):
        PlaceCrop(3)(dict(img=np.zeros((2, 9, 3))))
