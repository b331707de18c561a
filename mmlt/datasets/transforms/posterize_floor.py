"""Posterize as timm's RandAugment has it: a part of a bit is dropped, not rounded up."""

from math import floor

from mmpretrain.datasets.transforms.auto_augment import Posterize
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PosterizeFloor(Posterize):
    """mmpretrain's ``Posterize`` with a drawn number of bits that is rounded down.

    mmpretrain rounds up, as timm does for its increasing scale. On the other scale, at magnitude 10
    with standard deviation 0.5, the released BCL leaves 3 bits to every other image, where rounding
    up leaves all of them 4.

    Args:
        **kwargs: ``magnitude_range``, ... of mmpretrain's ``Posterize``.

    Source:
        timm's RandAugment, 'Posterize', as the released BCL uses it.

    Example:
        >>> image = np.full((1, 1, 3), 255, np.uint8)
        >>> options = dict(prob=1.0, magnitude_range=(0, 4), magnitude_level=9.9)
        >>> int(PosterizeFloor(**options)(dict(img=image))['img'].max())  # 3 bits
        224
    """

    def random_magnitude(self) -> int:
        """Draw the number of bits."""
        return floor(super().random_magnitude())
