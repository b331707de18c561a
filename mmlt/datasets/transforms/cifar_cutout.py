"""Cutout as the long-tail literature has it: the hole may hang over every border."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CifarCutout(BaseTransform):
    """Fill a square around a random pixel; what hangs over the border is cut off.

    mmcv's ``Cutout`` draws the centre alike, but pushes a square that hangs over the top or left
    border back inside: it hides 22.3 % of a 32x32 image on average, this one 19.1 %.

    Required and modified key: ``img`` (H, W, C).

    Args:
        length (int): Side of the square in pixels, > 0. Defaults to 16.
        fill (int): Value of the hidden pixels, before normalisation. Defaults to 0.

    Raises:
        ValueError: ``length`` is not positive.

    Source:
        DeVries and Taylor 2017, released code; used for CIFAR-LT by BCE3S, BCL and DBM, all before
        the normalisation and with zeros.

    Example:
        >>> image = np.full((32, 32, 3), 255, np.uint8)
        >>> CifarCutout()(dict(img=image))['img'].min()
        0
    """

    def __init__(self, length: int = 16, fill: int = 0):
        if not isinstance(length, int) or length < 1:
            raise ValueError(f'length must be a positive integer, got {length!r}')
        self.length = length
        self.fill = fill

    def transform(self, results: dict) -> dict:
        """Cut the hole out of a copy of ``results['img']``."""
        image = results['img'].copy()
        spans = []
        for size in image.shape[:2]:
            start = np.random.randint(size) - self.length // 2
            spans.append(slice(max(start, 0), min(start + self.length, size)))
        image[tuple(spans)] = self.fill
        results['img'] = image
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(length={self.length}, fill={self.fill})'
