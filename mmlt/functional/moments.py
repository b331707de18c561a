"""Sums over the features of each class: from these the geometry follows, not from pairs of samples.

Everything is summed in float64 and without gradients, some thousands of samples at a time. Scatters
are taken about the means, never as a difference of squares, and so stay exact where the features of
a class nearly coincide.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mmlt.functional.checks import check_features
from mmlt.functional.numerics import unit_rows

_ROWS = 8192  # samples at a time in float64


class ClassMoments(NamedTuple):
    """What :func:`class_moments` sums over the samples of each class."""

    count: Tensor  # type: ignore[assignment]  # (K,) int64; hides tuple.count
    mean: Tensor  # (K, D) float64; zeros for a class without samples
    unit_sum: Tensor  # (K, D) float64: the sum of the unit vectors
    unit_square: Tensor  # (K,) float64: how many samples have a direction
    scatter: Tensor | None  # (D, D) or (K, D, D) float64


def class_moments(
    features: Tensor, labels: Tensor, num_classes: int, scatter: str | None = None
) -> ClassMoments:
    r"""Count, mean, sum of unit vectors and scatter of the features of each class.

    .. math:: n_k, \quad \bar x_k, \quad \sum_{i \in k} \frac{x_i}{|x_i|}, \quad
              S_k = \sum_{i \in k} (x_i - \bar x_k) (x_i - \bar x_k)^T

    Args:
        features: Features of all samples.
        labels: Class labels in [0, K).
        num_classes: K, >= 1.
        scatter: ``'shared'``: the sum of the S_k, D^2 numbers. ``'class'``: each S_k, K D^2
            numbers. None: none.

    Shape:
        features (N, D), labels (N,) int64.

    Raises:
        ValueError: Shapes that do not fit, or a label outside [0, K).
        TypeError: ``labels`` not int64.

    Example:
        >>> moments = class_moments(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0]), 2, 'shared')
        >>> moments.mean.tolist(), moments.scatter.tolist()
        ([[2.0], [0.0]], [[2.0]])
    """
    check_features(features, labels, num_classes)
    width = features.shape[1]
    empty = torch.zeros(num_classes, width, dtype=torch.float64, device=features.device)
    total, unit_sum, unit_square = empty.clone(), empty.clone(), empty.new_zeros(num_classes)
    for x, y in in_parts(features, labels):
        unit = unit_rows(x)
        total.index_add_(0, y, x)
        unit_sum.index_add_(0, y, unit)
        unit_square.index_add_(0, y, unit.square().sum(dim=1))
    count = labels.bincount(minlength=num_classes)
    mean = total / count.clamp(min=1).unsqueeze(1)
    return ClassMoments(
        count, mean, unit_sum, unit_square, _scatter(features, labels, mean, scatter)
    )


def in_parts(features: Tensor, *columns: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The samples, some thousands at a time: features in float64, then labels and what else."""
    for x, *others in zip(*(torch.split(rows, _ROWS) for rows in (features.detach(), *columns))):
        yield x.double(), *others


def center_of(count: Tensor, mean: Tensor) -> Tensor:
    """The mean of the class means, (D,): a frequent class has no more say in it than a rare one."""
    return mean.sum(dim=0) / (count > 0).sum().clamp(min=1)


def check_finite(measure: str, *sums: Tensor) -> None:
    """Refuse sums over features that were not finite."""
    if not all(part.isfinite().all() for part in sums):
        raise ValueError(f'{measure} needs finite features')


def _scatter(features: Tensor, labels: Tensor, mean: Tensor, kind: str | None) -> Tensor | None:
    num_classes, width = mean.shape
    if kind is None:
        return None
    shape = (width, width) if kind == 'shared' else (num_classes, width, width)
    scatter = mean.new_zeros(shape)
    for x, y in in_parts(features, labels):
        rows = x - mean[y]
        if kind == 'shared':
            scatter += rows.T @ rows
            continue
        for k in sorted(set(y.tolist())):
            of_class = rows[y == k]
            scatter[k] += of_class.T @ of_class
    return scatter
