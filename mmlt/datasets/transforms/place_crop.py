"""A crop at a fixed place: one of the five of a five-crop test."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

PLACES = ('center', 'top_left', 'top_right', 'bottom_left', 'bottom_right')


@TRANSFORMS.register_module()
class PlaceCrop(BaseTransform):
    """Crop a square at the centre or in a corner, as torchvision's ``five_crop`` has them.

    ``tools/test.py --five-crop`` makes a pass of each; a transform that gave five images at once
    would be no step of a pipeline.

    Required and modified keys: ``img`` (H, W, C), ``img_shape``.

    Args:
        crop_size (int): Side in pixels, > 0.
        place (str): 'center', 'top_left', 'top_right', 'bottom_left' or 'bottom_right'.

    Raises:
        ValueError: Another place; an image that is smaller than the crop.

    Example:
        >>> image = np.arange(12).reshape(3, 4, 1)
        >>> PlaceCrop(2, 'bottom_right')(dict(img=image))['img'][..., 0]
        array([[ 6,  7],
               [10, 11]])
    """

    def __init__(self, crop_size: int, place: str = 'center'):
        if not isinstance(crop_size, int) or crop_size < 1:
            raise ValueError(f'crop_size must be a positive integer, got {crop_size!r}')
        if place not in PLACES:
            raise ValueError(f'place must be one of {PLACES}, got {place!r}')
        self.crop_size = crop_size
        self.place = place

    def transform(self, results: dict) -> dict:
        """Crop ``results['img']``."""
        height, width = results['img'].shape[:2]
        size = self.crop_size
        if min(height, width) < size:
            raise ValueError(
                f'the image has {height} x {width} pixels, less than the crop of {size} x {size}: '
                'resize its short edge before'
            )
        if self.place == 'center':
            top, left = (int(round((edge - size) / 2.0)) for edge in (height, width))
        else:
            vertical, horizontal = self.place.split('_')
            top = 0 if vertical == 'top' else height - size
            left = 0 if horizontal == 'left' else width - size
        crop = results['img'][top : top + size, left : left + size]
        results['img'] = np.ascontiguousarray(crop)
        results['img_shape'] = results['img'].shape[:2]
        return results
