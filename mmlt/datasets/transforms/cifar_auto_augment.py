"""AutoAugment with the policy found on CIFAR-10, which mmpretrain lacks."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torchvision.transforms import v2


@TRANSFORMS.register_module()
class CifarAutoAugment(BaseTransform):
    """Apply torchvision's AutoAugment with the CIFAR-10 policy to a NumPy image.

    Required and modified key: ``img``, uint8 (H, W, 3).

    Args:
        is_bgr (bool): Whether the image is BGR, as ``LoadImageFromFile`` leaves it; the policy's
            colour operations need to know. Defaults to True.
        fill (Sequence[int]): RGB value of pixels that come from outside. Defaults to grey, as the
            long-tail literature has it.

    Source:
        Cubuk et al. 2019; used for CIFAR-LT by BCE3S, BCL and DBM.

    Example:
        >>> image = np.zeros((32, 32, 3), np.uint8)
        >>> CifarAutoAugment()(dict(img=image))['img'].shape
        (32, 32, 3)
    """

    def __init__(self, is_bgr: bool = True, fill=(128, 128, 128)):
        self.is_bgr = is_bgr
        self.augment = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10, fill=list(fill))

    def transform(self, results: dict) -> dict:
        """Augment ``results['img']``."""
        if results['img'].ndim != 3 or results['img'].shape[2] != 3:
            shape = results['img'].shape
            raise ValueError(f'CifarAutoAugment: img must have shape (H, W, 3), got {shape}')
        step = -1 if self.is_bgr else 1
        image = Image.fromarray(np.ascontiguousarray(results['img'][..., ::step]))
        results['img'] = np.ascontiguousarray(np.asarray(self.augment(image))[..., ::step])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(is_bgr={self.is_bgr})'
