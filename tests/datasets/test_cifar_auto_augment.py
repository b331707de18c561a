"""AutoAugment's CIFAR-10 policy on NumPy images, BGR or RGB."""

import tarfile

import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torchvision.transforms import v2

import mmlt  # noqa: F401

SEEDS = range(40)  # enough for each kind of operation to come up


def make(**options):
    return TRANSFORMS.build(dict(type='CifarAutoAugment', **options))


def augment(image, seed=0, **options):
    torch.manual_seed(seed)
    return make(**options)(dict(img=image.copy()))['img']


@pytest.fixture
def image():
    """Smooth and of different levels in the channels, so that order and geometry show."""
    y, x = np.mgrid[:32, :40]
    return np.stack([5 * y, 255 - 4 * x, 2 * x + 3 * y], axis=-1).astype(np.uint8)


def test_a_bgr_image_is_augmented_as_the_rgb_one(image):
    changed = 0
    for seed in SEEDS:
        bgr = augment(image[..., ::-1], seed)
        rgb = augment(image, seed, is_bgr=False)
        assert np.array_equal(bgr[..., ::-1], rgb)
        changed += not np.array_equal(rgb, image)
    assert changed > len(SEEDS) / 2


def test_an_rgb_image_is_augmented_as_torchvision_does_it(image):
    policy = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10, fill=[128, 128, 128])
    for seed in SEEDS:
        torch.manual_seed(seed)
        wanted = np.asarray(policy(Image.fromarray(image)))
        assert np.array_equal(augment(image, seed, is_bgr=False), wanted)


def test_bgr_is_the_default():
    assert repr(make()) == 'CifarAutoAugment(is_bgr=True)'
    assert repr(make(is_bgr=False)) == 'CifarAutoAugment(is_bgr=False)'


def test_shape_and_dtype_stay_and_the_input_is_not_written_to(image):
    for seed in SEEDS:
        before = image.copy()
        torch.manual_seed(seed)
        got = make()(dict(img=image))['img']
        assert got.shape == image.shape
        assert got.dtype == np.uint8
        assert got.flags.c_contiguous
        assert np.array_equal(image, before)


def test_fill_is_an_rgb_value(image):
    colour = (255, 0, 7)
    flat = np.full_like(image, 128)
    filled = [augment(flat, seed, fill=colour)[..., ::-1].reshape(-1, 3) for seed in SEEDS]
    assert any((pixels == colour).all(axis=1).any() for pixels in filled)
    assert not any((pixels == colour[::-1]).all(axis=1).any() for pixels in filled)


def test_the_draw_follows_torchs_seed(image):
    assert np.array_equal(augment(image, 3), augment(image, 3))
    assert any(not np.array_equal(augment(image, 0), augment(image, seed)) for seed in SEEDS)


def test_an_image_without_channels_is_refused():
    # Its last axis is the width, so turning BGR into RGB would mirror it.
    ramp = np.tile(np.arange(32, dtype=np.uint8) * 8, (32, 1))
    with pytest.raises((ValueError, TypeError), match=r'img.*\(32, 32\)'):
        augment(ramp)


def test_in_a_pipeline_on_a_real_image(real_data, tmp_path):
    with tarfile.open(real_data / 'imagenet-sample.tar') as archive:
        member = next(m for m in archive if m.name.lower().endswith(('.jpeg', '.jpg')))
        path = tmp_path / 'image.jpg'
        path.write_bytes(archive.extractfile(member).read())
    transforms = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(64, 64)),
        dict(type='CifarAutoAugment'),
        dict(type='PackInputs'),
    ]
    pipeline = Compose([TRANSFORMS.build(transform) for transform in transforms])
    torch.manual_seed(4)
    packed = pipeline(dict(img_path=str(path), gt_label=3))
    assert packed['inputs'].shape == (3, 64, 64)
    assert packed['inputs'].dtype == torch.uint8
    assert packed['data_samples'].gt_label.item() == 3
    plain = mmcv.imresize(mmcv.imread(str(path)), (64, 64))
    wanted = augment(plain, 4).transpose(2, 0, 1)
    assert np.array_equal(packed['inputs'].numpy(), wanted)
