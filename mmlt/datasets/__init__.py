"""Datasets; importing them registers them with mmpretrain."""

from .digits import DigitsLT
from .imagenet_lt import ImageNetLT
from .inaturalist import INaturalist2018
from .long_tailed import LongTailedDataset
from .path_label_dataset import PathLabelDataset
from .places_lt import PlacesLT

__all__ = [
    'DigitsLT',
    'INaturalist2018',
    'ImageNetLT',
    'LongTailedDataset',
    'PathLabelDataset',
    'PlacesLT',
]
