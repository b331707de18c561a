"""Datasets; importing them registers them with mmpretrain."""

from mmlt.datasets import transforms
from mmlt.datasets.digits import DigitsLT
from mmlt.datasets.image_source import describe_images, same_images, training_draw
from mmlt.datasets.imagenet_lt import ImageNetLT
from mmlt.datasets.inaturalist import INaturalist2018
from mmlt.datasets.long_tailed import LongTailedDataset
from mmlt.datasets.mix_partner import MixPartnerDataset
from mmlt.datasets.path_label_dataset import PathLabelDataset
from mmlt.datasets.photo_folder import PhotoFolder
from mmlt.datasets.places_lt import PlacesLT
from mmlt.datasets.samplers import ClassBalancedSampler

__all__ = [
    'ClassBalancedSampler',
    'DigitsLT',
    'INaturalist2018',
    'ImageNetLT',
    'LongTailedDataset',
    'MixPartnerDataset',
    'PathLabelDataset',
    'PhotoFolder',
    'PlacesLT',
    'describe_images',
    'same_images',
    'training_draw',
    'transforms',
]
