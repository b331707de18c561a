"""The geometry of a model: of its features, its classifier, and of the two against each other."""

import copy
import math
from typing import NamedTuple

import numpy as np
import torch

from mmlt.analysis.model_outputs import Outputs
from mmlt.evaluation import GeometryStatistics
from mmlt.functional import angular_distance, classifier_separability, shot_groups


class Classifier(NamedTuple):
    """The class vectors of a linear or cosine classifier."""

    vectors: torch.Tensor  # (K, D) as trained: what BCE3S's eqs. 13 and 36 are taken of
    weight: torch.Tensor  # (K, D) as it multiplies the features, so normalised or scaled


@torch.no_grad()
def classifier_of(head, width: int) -> Classifier | None:
    """The head's classifier, None if it has none that takes the features as they are."""
    layer = getattr(head, 'classifier', None) or getattr(head, 'fc', None)
    vectors = getattr(layer, 'weight', None)
    if vectors is None or vectors.ndim != 2 or vectors.shape[1] != width:
        return None
    # Its answers to the unit vectors less that to nothing: normalisation and test-time settings are
    # in it, a bias and an adjustment are not. float64, for the sake of the difference.
    head = copy.deepcopy(head).cpu().double()
    probe = torch.cat([torch.eye(width), torch.zeros(1, width)]).double()
    *rows, nothing = head((probe,))
    return Classifier(vectors.detach().cpu(), (torch.stack(rows) - nothing).T)


def measure(
    outputs: Outputs, classifier: Classifier | None, num_classes: int
) -> tuple[torch.Tensor, dict, dict | None]:
    """Angles (N,), the measures of each class (K,), and neural collapse.

    NC4 asks how the model decides, and so takes its predictions: a cosine classifier with a bias or
    an adjustment decides by no linear function of the features.
    """
    features, labels = outputs.features, outputs.labels
    scatter = covariance_of(features.shape[1], num_classes)
    statistics = GeometryStatistics(num_classes, features.shape[1], scatter)
    statistics.update(features, labels)
    second = statistics.second_pass()
    second.update(features, labels, outputs.predictions)
    distances = angular_distance(
        features, labels, classifier.vectors if classifier else statistics.mean
    )
    per_class = {
        'compactness': statistics.compactness(),
        'separability': second.separability('class'),
        'separability_global': second.separability('global'),
    }
    collapse = None
    if classifier:
        per_class['classifier_separability'] = classifier_separability(classifier.vectors)
        collapse = statistics.neural_collapse(classifier.weight) | {'nc4': second.nc4()}
        collapse = {name: value.item() for name, value in collapse.items()}
    per_class['fisher'] = statistics.fisher_separability()
    sums = torch.zeros(num_classes, dtype=torch.float64).index_add_(0, labels, distances)
    per_class['angular_distance'] = sums / labels.bincount(minlength=num_classes)
    return distances, {name: values.numpy() for name, values in per_class.items()}, collapse


def covariance_of(width: int, num_classes: int) -> str:
    """Of each class, as printed, where that is quick; else one for all classes."""
    return 'class' if width <= 256 and num_classes <= 100 else 'shared'


def summary(values: np.ndarray, shots: dict) -> dict:
    """Mean and standard deviation over classes, and the mean of each group."""

    def mean(part: np.ndarray) -> float:
        known = part[~np.isnan(part)]
        return float(known.mean()) if len(known) else math.nan

    groups = shot_groups(shots['class_counts'], shots['many'], shots['few'])
    return {
        'mean': mean(values),
        'std': math.sqrt(mean((values - mean(values)) ** 2)),
        **{group: mean(values[members.numpy()]) for group, members in groups.items()},
    }
