"""How far apart the classes stand, in percent: 100 is opposite, 50 is at right angles.

All three measures average cosines over pairs. The pairs are never formed: a sum of cosines is an
inner product of summed unit vectors, so memory stays O(N D + K D). Everything runs in float64.
"""

import torch
from torch import Tensor

from mmlt.functional.numerics import unit_rows


def classifier_separability(weight: Tensor) -> Tensor:
    r"""How far each classifier vector stands from the others, after centring.

    .. math:: E_k = \frac{100}{K - 1} \sum_{j \ne k} \frac{1 - \cos(\hat w_k, \hat w_j)}{2},
              \quad \hat w_k = w_k - \frac{1}{K} \sum_j w_j

    Args:
        weight: Classifier vectors, one a row.

    Shape:
        weight (K, D); returns (K,) float64, in percent; 50 K / (K - 1) for a simplex ETF.
        NaN for K = 1.

    Raises:
        ValueError: ``weight`` not 2-D or without rows.

    Source:
        BCE3S, eqs. 13, 16 and 17.

    Example:
        >>> classifier_separability(torch.eye(3))
        tensor([75., 75., 75.], dtype=torch.float64)
    """
    if weight.ndim != 2 or len(weight) == 0:
        raise ValueError(f'weight must have shape (K, D) with K >= 1, got {tuple(weight.shape)}')
    weight = weight.double()
    rows = _unit_difference(weight, weight.mean(dim=0))
    others = rows.sum(dim=0) - rows  # for each k, the sum over j != k
    return _percent(-(rows * others).sum(dim=1) / (len(rows) - 1))


def feature_compactness(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    r"""How alike the features of each class are.

    .. math:: E_k = \frac{100}{n_k^2 - n_k} \sum_{i \ne i'} \frac{1 + \cos(x_i, x_{i'})}{2}

    Args:
        features: Features of all samples.
        labels: Class labels in [0, K).
        num_classes: K, >= 1.

    Shape:
        features (N, D), labels (N,) int64; returns (K,) float64, in percent. NaN for a class with
        fewer than 2 samples.

    Raises:
        ValueError: Shapes that do not fit, or a label outside [0, K).
        TypeError: ``labels`` not int64.

    Source:
        BCE3S, eq. 14, by ``sum_{i != i'} u_i . u_i' = |sum_i u_i|^2 - sum_i |u_i|^2``.

    Example:
        >>> feature_compactness(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]), 2)
        tensor([50., nan], dtype=torch.float64)
    """
    _check_features(features, labels, num_classes)
    rows = unit_rows(features.double())
    count = labels.bincount(minlength=num_classes).double()
    pairs = _class_sum(rows, labels, num_classes).square().sum(dim=1)
    pairs = pairs - _class_sum(rows.square().sum(dim=1), labels, num_classes)
    ordered_pairs = count * (count - 1)
    return torch.where(ordered_pairs > 0, _percent(pairs / ordered_pairs), torch.nan)


def feature_separability(
    features: Tensor, labels: Tensor, num_classes: int, centering: str = 'class'
) -> Tensor:
    r"""How far the features of each class stand from the means of the other classes.

    .. math:: E_k = \frac{100}{n_k (K - 1)} \sum_{i \in k} \sum_{j \ne k}
              \frac{1 - \cos(\hat x_i, \bar x^{(j)})}{2}

    Args:
        features: Features of all samples.
        labels: Class labels in [0, K).
        num_classes: K, >= 1. Classes without samples are left out of the sum over j.
        centering: ``'class'``: ``x_i`` minus the mean of its own class, against raw class means.
            As printed; near 50 by construction, since the centred features of a class sum to
            zero. ``'global'``: samples and class means both minus the mean of the class means, as
            eqs. 16 and 17 centre the classifier; 50 K / (K - 1) at full collapse to an ETF.

    Shape:
        features (N, D), labels (N,) int64; returns (K,) float64, in percent. NaN for a class
        without samples, or without another class.

    Raises:
        ValueError: Shapes that do not fit, a label outside [0, K), an unknown ``centering``.
        TypeError: ``labels`` not int64.

    Source:
        BCE3S, eqs. 15, 18 and 19; ``'global'`` is this library's addition.

    Example:
        >>> x, y = torch.tensor([[3.0, 1.0], [1.0, 1.0]]), torch.tensor([0, 1])
        >>> feature_separability(x, y, 2, centering='global')
        tensor([100., 100.], dtype=torch.float64)
    """
    _check_features(features, labels, num_classes)
    if centering not in ('class', 'global'):
        raise ValueError(f"centering must be 'class' or 'global', got {centering!r}")
    features = features.double()
    count = labels.bincount(minlength=num_classes).double()
    seen = (count > 0).unsqueeze(1)
    mean = _class_sum(features, labels, num_classes) / count.clamp(min=1).unsqueeze(1)
    if centering == 'class':
        rows, mean_rows = _unit_difference(features, mean[labels]), unit_rows(mean)
    else:
        center = mean.sum(dim=0) / seen.sum().clamp(min=1)
        rows, mean_rows = _unit_difference(features, center), _unit_difference(mean, center)
    mean_rows = mean_rows * seen
    others = mean_rows.sum(dim=0) - mean_rows  # for each k, the sum over j != k
    cosines = (_class_sum(rows, labels, num_classes) * others).sum(dim=1)
    pairs = count * (seen.sum() - 1)
    return torch.where(pairs > 0, _percent(-cosines / pairs), torch.nan)


def _percent(mean_cosine: Tensor) -> Tensor:
    return 50 * (1 + mean_cosine)


def _unit_difference(x: Tensor, center: Tensor) -> Tensor:
    """Unit rows of ``x - center``; 0 where only rounding is left of the difference."""
    difference = x - center
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    length = torch.linalg.vector_norm(difference, dim=-1, keepdim=True)
    return unit_rows(difference * (length > 1e-12 * size))


def _class_sum(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    total = values.new_zeros(num_classes, *values.shape[1:])
    return total.index_add(0, labels, values)


def _check_features(features: Tensor, labels: Tensor, num_classes: int) -> None:
    if features.ndim != 2:
        raise ValueError(f'features must have shape (N, D), got {tuple(features.shape)}')
    if labels.shape != features.shape[:1]:
        wanted, got = (len(features),), tuple(labels.shape)
        raise ValueError(f'labels must have shape {wanted}, got {got}')
    if labels.dtype != torch.int64:
        raise TypeError(f'labels must be int64, got {labels.dtype}')
    if len(labels) and (labels.min() < 0 or labels.max() >= num_classes):
        found = f'[{labels.min().item()}, {labels.max().item()}]'
        raise ValueError(f'labels must be in [0, {num_classes}), got values in {found}')
