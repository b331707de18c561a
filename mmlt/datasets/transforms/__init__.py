from mmlt.datasets.transforms.cifar_auto_augment import CifarAutoAugment
from mmlt.datasets.transforms.cifar_cutout import CifarCutout

__all__ = ['CifarAutoAugment', 'CifarCutout']
