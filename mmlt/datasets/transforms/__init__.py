from mmlt.datasets.transforms.cifar_auto_augment import CifarAutoAugment
from mmlt.datasets.transforms.cifar_cutout import CifarCutout
from mmlt.datasets.transforms.load_image_once import LoadImageOnce
from mmlt.datasets.transforms.place_crop import PLACES, PlaceCrop
from mmlt.datasets.transforms.posterize_floor import PosterizeFloor

__all__ = [
    'PLACES',
    'CifarAutoAugment',
    'CifarCutout',
    'LoadImageOnce',
    'PlaceCrop',
    'PosterizeFloor',
]
