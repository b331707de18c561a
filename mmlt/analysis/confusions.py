"""Where a model is wrong: the worst classes, the most frequent confusions, and their images."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import mmcv
import numpy as np

from mmlt.visualization import draw_contact_sheet

EDGE = 96  # pixels of a thumbnail
PAIRS, EACH, COLUMNS = 8, 3, 6  # of the picture: two pairs a row


class Confusion(NamedTuple):
    """A true class that is taken for another one."""

    label: int
    prediction: int
    number: int  # of images
    part: float  # of the class's images
    images: list[int]  # the surest first


def worst_classes(per_class: Sequence[float], tested: Sequence[int], most: int = 10) -> list[int]:
    """The classes of the lowest accuracy, of equal ones that with more images first.

    Example:
        >>> worst_classes([50.0, 0.0, float('nan'), 0.0], [4, 2, 0, 9], most=2)
        [3, 1]
    """
    seen = [k for k, value in enumerate(per_class) if value == value]
    return sorted(seen, key=lambda k: (per_class[k], -tested[k]))[:most]


def confusions(labels, predictions, confidence, most: int = 10) -> list[Confusion]:
    """The pairs (true class, predicted class) with most images.

    Args:
        labels, predictions (ndarray): (N,).
        confidence (ndarray): of the predictions, (N,).
        most (int): pairs, at most.

    Example:
        >>> found = confusions(np.array([0, 0, 1]), np.array([1, 1, 1]), np.array([0.5, 0.9, 1]))
        >>> [tuple(pair) for pair in found]
        [(0, 1, 2, 1.0, [1, 0])]
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    wrong = np.flatnonzero(labels != predictions)
    wrong = wrong[np.argsort(-np.asarray(confidence)[wrong], kind='stable')]
    pairs = {}
    for i in wrong.tolist():
        pairs.setdefault((int(labels[i]), int(predictions[i])), []).append(i)
    tested = np.bincount(labels)
    found = [
        Confusion(label, prediction, len(images), len(images) / int(tested[label]), images)
        for (label, prediction), images in pairs.items()
    ]
    return sorted(found, key=lambda pair: (-pair.number, -pair.part, pair.label))[:most]


def draw_confusions(dataset, found: list[Confusion], confidence, names, title: str):
    """Draw images of the most frequent confusions; None if there are none, or no 8-bit images.

    Args:
        dataset: the images were tested in its order.
        found (list[Confusion]): as :func:`confusions` returns them.
        confidence (ndarray): of the predictions, (N,).
        names (Sequence[str]): of the classes.
        title (str): dataset and checkpoint.
    """
    images, captions = [], []
    for pair in found[:PAIRS]:
        for i in pair.images[:EACH]:
            image = _thumbnail(dataset.get_data_info(i))
            if image is None:
                return None
            images.append(image)
            captions.append(
                f'{_short(names[pair.label])}\n-> {_short(names[pair.prediction])} '
                f'({confidence[i]:.2f})'
            )
        blank = EACH - len(pair.images[:EACH])
        images += [np.full((2, 2), 255, np.uint8)] * blank
        captions += ['\n'] * blank
    if not images:
        return None
    columns = min(COLUMNS, len(images))
    return draw_contact_sheet(images, captions, columns, 'The most frequent confusions', title)


def _short(name: str) -> str:
    name = name.split(',')[0]
    return name if len(name) <= 16 else f'{name[:15]}…'


def _thumbnail(info: dict) -> np.ndarray | None:
    """An RGB image of EDGE pixels at most, as the dataset has it."""
    image = info.get('img')
    if image is None and 'img_path' in info:
        image = mmcv.imread(info['img_path'], channel_order='rgb')
    if image is None or image.dtype != np.uint8 or image.ndim not in (2, 3):
        return None
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    scale = EDGE / max(image.shape[:2])
    if scale >= 1:
        return image
    size = [max(1, round(edge * scale)) for edge in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
