"""Batched image operations against Pillow, torchvision and OpenCV, image by image, on photos."""

import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from mmlt.functional import image_ops as ops

SIDE = 32


def photos():
    """24 pieces of two photos, one of them of a single colour and one of two."""
    pieces = []
    for photo in load_sample_images().images:
        for k in range(12):
            top, left = 25 * k, 45 * k
            pieces.append(photo[top : top + 4 * SIDE : 4, left : left + 4 * SIDE : 4])
    pieces[0] = np.full_like(pieces[0], 77)
    pieces[1] = np.where(pieces[1] > 99, 200, 60).astype(np.uint8)
    return torch.from_numpy(np.stack(pieces)).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope='module')
def images():
    return photos()


def by_pillow(images, function):
    made = [function(Image.fromarray(x.permute(1, 2, 0).numpy()), k) for k, x in enumerate(images)]
    return torch.stack([torch.from_numpy(np.array(x)).permute(2, 0, 1) for x in made])


def spread(number, low, high):
    """A parameter of its own for each image, both ends included."""
    return torch.linspace(low, high, number, dtype=torch.float64)


AUTO = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10, fill=[128, 128, 128])


def auto_augment(image, name, magnitude):
    return AUTO._apply_image_or_video_transform(
        image, name, magnitude, AUTO.interpolation, AUTO._fill
    )


@pytest.mark.parametrize('name', ['Brightness', 'Color', 'Contrast', 'Sharpness'])
def test_enhancements_are_pillows_to_the_pixel(name, images):
    ours = dict(
        Brightness=ops.adjust_brightness,
        Color=ops.adjust_saturation,
        Contrast=ops.adjust_contrast,
        Sharpness=ops.adjust_sharpness,
    )[name]
    strength = spread(len(images), -0.9, 0.9)
    wanted = by_pillow(images, lambda x, k: auto_augment(x, name, strength[k].item()))
    assert torch.equal(ours(images, 1 + strength), wanted)


def test_integer_operations_are_pillows_to_the_pixel(images):
    bits = 1 + torch.arange(len(images)) % 8
    wanted = by_pillow(images, lambda x, k: auto_augment(x, 'Posterize', bits[k].item()))
    assert torch.equal(ops.posterize(images, bits), wanted)
    share = spread(len(images), 0, 1)
    wanted = by_pillow(images, lambda x, k: auto_augment(x, 'Solarize', share[k].item()))
    assert torch.equal(ops.solarize(images, 255 * share), wanted)
    wanted = by_pillow(images, lambda x, k: auto_augment(x, 'AutoContrast', 0))
    assert torch.equal(ops.autocontrast(images), wanted)
    wanted = by_pillow(images, lambda x, k: auto_augment(x, 'Equalize', 0))
    assert torch.equal(ops.equalize(images), wanted)
    wanted = by_pillow(images, lambda x, k: tv.rgb_to_grayscale(x, num_output_channels=3))
    assert torch.equal(ops.grey(images), wanted)


def test_hue_is_torchvisions_to_the_pixel(images):
    shift = spread(len(images), -0.5, 0.5)
    wanted = by_pillow(images, lambda x, k: tv.adjust_hue(x, shift[k].item()))
    assert torch.equal(ops.adjust_hue(images, shift), wanted)


@pytest.mark.parametrize('name', ['ShearX', 'ShearY', 'TranslateX', 'TranslateY', 'Rotate'])
def test_affine_maps_are_pillows_to_the_pixel(name, images):
    largest = {'S': 0.3, 'T': 14.5, 'R': 30.0}[name[0]]
    strength = spread(len(images), -largest, largest)
    if name == 'Rotate':
        rows = [ops.rotation_matrix(s, SIDE, SIDE) for s in strength.tolist()]
        matrix = torch.tensor(rows, dtype=torch.float64)
    else:
        place = dict(ShearX=1, ShearY=3, TranslateX=2, TranslateY=5)[name]
        matrix = torch.tensor([1.0, 0, 0, 0, 1, 0], dtype=torch.float64).repeat(len(images), 1)
        moved = -strength.trunc() if name[0] == 'T' else strength.atan().tan()
        matrix[:, place] = moved
    wanted = by_pillow(images, lambda x, k: auto_augment(x, name, strength[k].item()))
    assert torch.equal(ops.affine_nearest(images, matrix, 128), wanted)


def test_resized_crops_are_opencvs_to_one_step(images):
    generator = torch.Generator().manual_seed(0)
    size = torch.randint(9, SIDE + 1, (len(images), 2), generator=generator)
    first = (torch.rand(len(images), 2, generator=generator) * (SIDE + 1 - size)).long()
    box = torch.cat([first, size], dim=1)
    got = ops.resized_crop(images, box)
    for x, (top, left, high, wide), y in zip(images, box.tolist(), got):
        piece = x.permute(1, 2, 0).numpy()[top : top + high, left : left + wide]
        wanted = cv2.resize(np.ascontiguousarray(piece), (SIDE, SIDE))
        difference = (y.int() - torch.from_numpy(wanted).permute(2, 0, 1).int()).abs()
        assert difference.max() <= 1


def test_blur_is_the_gaussian(images):
    sigma = spread(len(images), 0.1, 2.0)
    got = ops.gaussian_blur(images, sigma)
    for x, s, y in zip(images, sigma.tolist(), got):
        wanted = cv2.GaussianBlur(
            x.permute(1, 2, 0).double().numpy(), (13, 13), s, borderType=cv2.BORDER_REPLICATE
        )
        difference = (y.double() - torch.from_numpy(wanted).permute(2, 0, 1)).abs()
        assert difference.max() < 0.51  # rounding to whole values


def test_crops_and_holes_are_slices(images):
    n = len(images)
    top, left = torch.arange(n) % 9, torch.arange(n) * 5 % 9
    padded = torch.zeros(n, 3, SIDE + 8, SIDE + 8, dtype=torch.uint8)
    padded[:, :, 4:-4, 4:-4] = images
    got = ops.crop_at(images, top, left, 4)
    for k in range(n):
        rows, columns = (slice(s, s + SIDE) for s in (top[k].item(), left[k].item()))
        assert torch.equal(got[k], padded[k, :, rows, columns])
    row, column = torch.arange(n) % SIDE, torch.arange(n) * 7 % SIDE
    got = ops.cutout_at(images, row, column, 16)
    for k in range(n):
        wanted = images[k].clone()
        y, x = row[k].item(), column[k].item()
        wanted[:, max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = 0
        assert torch.equal(got[k], wanted)


def test_the_hole_hides_the_released_share():
    hidden = [max(0, min(c + 8, SIDE) - max(c - 8, 0)) for c in range(SIDE)]
    assert math.isclose((sum(hidden) / SIDE**2) ** 2, 0.19140625)
    row, column = (grid.flatten() for grid in torch.meshgrid(*[torch.arange(SIDE)] * 2))
    white = torch.full((SIDE * SIDE, 1, SIDE, SIDE), 255, dtype=torch.uint8)
    assert (ops.cutout_at(white, row, column, 16) == 0).double().mean() == 0.19140625
