"""Augmentation of whole batches where the model is: each image with draws of its own.

A data preprocessor that is given ``augment`` makes the views of its images here, in place of a
pipeline that treats one image at a time::

    data_preprocessor = dict(type='MultiViewDataPreprocessor', views='plain',
                             augment=dict(type='BatchCifarAugment'))

All draws are made on the CPU, from torch's generator: which images take which operation is then
known without asking the device, and a seeded run repeats.
"""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS
from torch import Tensor
from torchvision.transforms import v2

from mmlt.functional import image_ops as ops

GREY = 128
_COLOUR = dict(
    Brightness=ops.adjust_brightness,
    Color=ops.adjust_saturation,
    Contrast=ops.adjust_contrast,
    Sharpness=ops.adjust_sharpness,
)


@MODELS.register_module()
class BatchCifarAugment(nn.Module):
    """Random crop, flip, AutoAugment with the CIFAR-10 policy, Cutout: the CIFAR-LT recipe.

    The distribution, and for given draws the very pixels, are those of the pipeline of
    ``RandomCrop``, ``RandomFlip``, ``CifarAutoAugment`` and ``CifarCutout``.

    Args:
        padding (int): Zeros around the image before the crop, in pixels. Defaults to 4.
        flip (float): Probability of the mirror image. Defaults to 0.5.
        auto_augment (bool): Defaults to True.
        cutout (int): Side of the hole in pixels; 0 for none. Defaults to 16.
        size (int, optional): Side that the images must have. Defaults to any.

    Raises:
        ValueError: An option is out of its range, or the images have another size.

    Shape:
        images (B, 3, H, W) uint8 RGB -> (B, 3, H, W) uint8.

    Source:
        Cubuk et al. 2019 (policy; table of torchvision); DeVries and Taylor 2017; used for CIFAR-LT
        by BCE3S, BCL and DBM.

    Example:
        >>> images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
        >>> BatchCifarAugment()(images).shape
        torch.Size([4, 3, 32, 32])
    """

    def __init__(
        self,
        padding: int = 4,
        flip: float = 0.5,
        auto_augment: bool = True,
        cutout: int = 16,
        size: int | None = None,
    ):
        super().__init__()
        if padding < 0 or cutout < 0:
            raise ValueError(f'padding and cutout must be >= 0, got {padding} and {cutout}')
        if not 0 <= flip <= 1:
            raise ValueError(f'flip must be in [0, 1], got {flip}')
        self.size = size
        self.padding = padding
        self.flip = flip
        self.cutout = cutout
        self.policy = AutoAugmentTable() if auto_augment else None

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Augment each image with draws of its own."""
        number, _, height, width = images.shape
        _check_size(self.size, height, width)
        if self.padding:
            top, left = torch.randint(2 * self.padding + 1, (2, number)).to(images.device)
            images = ops.crop_at(images, top, left, self.padding)
        if self.flip:
            mirrored = (torch.rand(number) < self.flip).to(images.device)
            images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        if self.policy is not None:
            images = self.policy(images)
        if self.cutout:
            row = torch.randint(height, (number,)).to(images.device)
            column = torch.randint(width, (number,)).to(images.device)
            images = ops.cutout_at(images, row, column, self.cutout)
        return images


class AutoAugmentTable:
    """torchvision's AutoAugment policy for CIFAR-10, for batches (B, 3, H, W) uint8."""

    def __init__(self):
        # The library's tables; only the drawing is done for a batch at once.
        transform = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
        self.policies = transform._policies
        self.strengths = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Apply to each image the two operations of a policy of its own, by their chances."""
        images = images.clone()
        number, _, height, width = images.shape
        steps = self.steps(height, width)
        chosen = torch.randint(len(steps), (number,)).tolist()
        for step in (0, 1):
            used, sign = torch.rand(2, number).tolist()
            groups = {}
            for image, policy in enumerate(chosen):
                name, chance, strength, signed = steps[policy][step]
                if used[image] <= chance:
                    if signed and sign[image] <= 0.5:
                        strength = -strength
                    # All affine maps are one operation, with a matrix an image.
                    if name in _AFFINE:
                        name, strength = 'Affine', _AFFINE[name](strength, height, width)
                    groups.setdefault(name, []).append((image, strength))
            for name, members in groups.items():
                index, strength = zip(*members)
                index = torch.tensor(index, device=images.device)
                strength = torch.tensor(strength, dtype=torch.float64, device=images.device)
                images[index] = apply_operation(name, images[index], strength)
        return images

    def steps(self, height: int, width: int) -> list:
        """The policies with numbers in the place of levels, for images of this size."""
        if (height, width) not in self.strengths:
            self.strengths[height, width] = [
                [self._step(*operation, height, width) for operation in policy]
                for policy in self.policies
            ]
        return self.strengths[height, width]

    def _step(self, name: str, chance: float, level: int | None, height: int, width: int) -> tuple:
        # Not kept: the table is of functions that cannot be pickled.
        strengths, signed = v2.AutoAugment._AUGMENTATION_SPACE[name]
        values = strengths(10, height, width)
        return name, chance, 0.0 if values is None else float(values[level]), signed


def apply_operation(name: str, images: Tensor, strength: Tensor) -> Tensor:
    """One operation of AutoAugment on images (B, 3, H, W) with strengths (B,).

    'Affine' takes matrices (B, 6), those of ``_AFFINE``.
    """
    if name == 'Affine':
        return ops.affine_nearest(images, strength, GREY)
    if name in _COLOUR:
        return _COLOUR[name](images, 1.0 + strength)
    if name == 'Posterize':
        return ops.posterize(images, strength.long())
    if name == 'Solarize':
        return ops.solarize(images, 255.0 * strength)
    return _PLAIN[name](images)


_PLAIN = dict(
    AutoContrast=ops.autocontrast,
    Equalize=ops.equalize,
    Invert=lambda images: 255 - images,
)
# Matrices (a, b, c, d, e, f) from output to input pixels, as torchvision makes them.
_AFFINE = dict(
    ShearX=lambda m, *_: (1.0, math.tan(math.atan(m)), 0.0, 0.0, 1.0, 0.0),
    ShearY=lambda m, *_: (1.0, 0.0, 0.0, math.tan(math.atan(m)), 1.0, 0.0),
    TranslateX=lambda m, *_: (1.0, 0.0, -int(m), 0.0, 1.0, 0.0),
    TranslateY=lambda m, *_: (1.0, 0.0, 0.0, 0.0, 1.0, -int(m)),
    Rotate=ops.rotation_matrix,
)


@MODELS.register_module()
class BatchSimAugment(nn.Module):
    """Resized crop, flip, colour jitter, grey, blur: the views that BCL contrasts.

    Args:
        area (tuple[float, float]): Part of the image's area that a crop has, in (0, 1]. Defaults to
            ``(0.2, 1.0)``.
        ratio (tuple[float, float]): Width over height of a crop. Defaults to ``(3 / 4, 4 / 3)``.
        flip (float): Probability of the mirror image. Defaults to 0.5.
        jitter (tuple[float, ...]): Range of brightness, contrast, saturation and hue. Defaults to
            ``(0.4, 0.4, 0.4, 0.1)``.
        jitter_prob (float): Probability of the jitter. Defaults to 0.8.
        grey (float): Probability of a grey image. Defaults to 0.2.
        blur (float): Probability of a Gaussian blur, sigma 0.1 to 2 pixels. Defaults to 0.0 (BCL);
            DBM's release has 0.5.
        size (int, optional): Side that the images must have: crops are resized to the size that
            the images came in. Defaults to any.

    Raises:
        ValueError: An option is out of its range, or the images have another size.

    Shape:
        images (B, 3, H, W) uint8 RGB -> (B, 3, H, W) uint8.

    Source:
        BCL, section 3.3, as released; blur: DBM, as released.

    Example:
        >>> images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
        >>> BatchSimAugment(blur=0.5)(images).shape
        torch.Size([4, 3, 32, 32])
    """

    def __init__(
        self,
        area: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        jitter: tuple[float, ...] = (0.4, 0.4, 0.4, 0.1),
        jitter_prob: float = 0.8,
        grey: float = 0.2,
        blur: float = 0.0,
        size: int | None = None,
    ):
        super().__init__()
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f'area must be a range within (0, 1], got {area}')
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f'ratio must be a range of positive numbers, got {ratio}')
        if len(jitter) != 4 or min(jitter) < 0 or max(jitter[:3]) > 1 or jitter[3] > 0.5:
            raise ValueError(
                'jitter must have brightness, contrast and saturation in [0, 1] and hue in '
                f'[0, 0.5], got {jitter}'
            )
        chances = dict(flip=flip, jitter_prob=jitter_prob, grey=grey, blur=blur)
        for name, chance in chances.items():
            if not 0 <= chance <= 1:
                raise ValueError(f'{name} must be in [0, 1], got {chance}')
        self.area, self.ratio, self.jitter = tuple(area), tuple(ratio), tuple(jitter)
        self.chances = chances
        self.size = size

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Augment each image with draws of its own."""
        number, _, height, width = images.shape
        _check_size(self.size, height, width)
        boxes = draw_boxes(number, height, width, self.area, self.ratio)
        images = ops.resized_crop(images, boxes.to(images.device))
        mirrored = (torch.rand(number) < self.chances['flip']).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        images = self._jitter(images)
        index = self._some(number, 'grey').to(images.device)
        images[index] = ops.grey(images[index])
        chosen = self._some(number, 'blur')
        if len(chosen):
            index = chosen.to(images.device)
            sigma = torch.empty(len(chosen)).uniform_(0.1, 2.0).to(images.device)
            images[index] = ops.gaussian_blur(images[index], sigma)
        return images

    def _some(self, number: int, name: str) -> Tensor:
        return (torch.rand(number) < self.chances[name]).nonzero().flatten()

    def _jitter(self, images: Tensor) -> Tensor:
        number = len(images)
        chosen = self._some(number, 'jitter_prob')
        # Each image has an order of the four operations of its own.
        order = torch.rand(len(chosen), 4).argsort(dim=1)
        spread = torch.tensor(self.jitter)
        strength = (2 * torch.rand(len(chosen), 4) - 1) * spread
        operations = (
            ops.adjust_brightness,
            ops.adjust_contrast,
            ops.adjust_saturation,
            ops.adjust_hue,
        )
        images = images.clone()
        for step in range(4):
            for kind, operation in enumerate(operations):
                members = (order[:, step] == kind).nonzero().flatten()
                if len(members) == 0 or self.jitter[kind] == 0:
                    continue
                value = strength[members, kind] + (0.0 if kind == 3 else 1.0)
                index = chosen[members].to(images.device)
                images[index] = operation(images[index], value.to(images.device))
        return images


def draw_boxes(number: int, height: int, width: int, area, ratio, attempts: int = 10) -> Tensor:
    """Boxes (N, 4) of random area and ratio as torchvision and mmpretrain draw them.

    The first of ``attempts`` draws that fits is taken; where none does, the largest centred box of
    an allowed ratio.
    """
    size = torch.empty(number, attempts).uniform_(*area) * height * width
    shape = torch.empty(number, attempts).uniform_(*(torch.tensor(ratio).log().tolist())).exp()
    wide = (size * shape).sqrt().round().long()
    high = (size / shape).sqrt().round().long()
    fits = (wide > 0) & (wide <= width) & (high > 0) & (high <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    wide, high = wide.gather(1, first)[:, 0], high.gather(1, first)[:, 0]
    none = ~fits.any(dim=1)
    full = (
        min(width, round(height * ratio[1])),
        min(height, round(width / ratio[0])),
    )
    wide, high = torch.where(none, full[0], wide), torch.where(none, full[1], high)
    free = torch.rand(number, 2)
    top = (free[:, 0] * (height - high + 1)).long()
    left = (free[:, 1] * (width - wide + 1)).long()
    top = torch.where(none, (height - high) // 2, top)
    left = torch.where(none, (width - wide) // 2, left)
    return torch.stack([top, left, high, wide], dim=1)


def _check_size(size: int | None, height: int, width: int) -> None:
    if size is not None and (height, width) != (size, size):
        raise ValueError(f'images must be {size} x {size} pixels, got {height} x {width} (H x W)')
