"""How far apart the classes stand and how close the samples of each, in float64, no gradients.

The measures of BCE3S average cosines over pairs, in percent: as separability, 100 is opposite, 50
is at right angles. The pairs are never formed: a sum of cosines is an inner product of summed unit
vectors, which :mod:`mmlt.functional.moments` sums. Each measure is a function of features, and one
of their sums; features that do not fit into memory go batch by batch through
``mmlt.evaluation.GeometryStatistics``, which ends in the same functions of sums.
"""

import torch
from torch import Tensor

from mmlt.functional.checks import check_features, check_shape
from mmlt.functional.moments import center_of, class_moments, in_parts
from mmlt.functional.moved import forward
from mmlt.functional.numerics import percent, unit_difference, unit_rows

CENTERINGS = ('class', 'global')
__getattr__ = forward(
    __name__,
    {
        'fisher_separability': 'mmlt.functional.fisher',
        'neural_collapse': 'mmlt.functional.collapse',
        'GeometryStatistics': 'mmlt.evaluation',
    },
)


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
    rows = _centered_rows(weight)
    others = rows.sum(dim=0) - rows  # for each k, the sum over j != k
    return percent(-(rows * others).sum(dim=1) / (len(rows) - 1))


def separability_matrix(weight: Tensor) -> Tensor:
    r"""How far each pair of classifier vectors stands apart, after centring.

    .. math:: s_{jk} = \frac{1 - \cos(\hat w_j, \hat w_k)}{2} \; (j \ne k), \quad s_{kk} = 1,
              \quad \hat w_k = w_k - \frac{1}{K} \sum_j w_j

    Args:
        weight: Classifier vectors, one a row.

    Shape:
        weight (K, D); returns (K, K) float64, fractions in [0, 1] as the paper draws them. The
        mean of a row without its diagonal, in percent, is :func:`classifier_separability`.

    Raises:
        ValueError: ``weight`` not 2-D or without rows.

    Source:
        BCE3S, eq. 36, fig. 8.

    Example:
        >>> separability_matrix(torch.eye(3))
        tensor([[1.0000, 0.7500, 0.7500],
                [0.7500, 1.0000, 0.7500],
                [0.7500, 0.7500, 1.0000]], dtype=torch.float64)
    """
    rows = _centered_rows(weight)
    # A cosine may leave [-1, 1] by rounding.
    matrix = ((1 - rows @ rows.T) / 2).clamp(0, 1)
    return matrix.fill_diagonal_(1.0)


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
    moments = class_moments(features, labels, num_classes)
    return moments_compactness(moments.count, moments.unit_sum, moments.unit_square)


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
    check_centering(centering)
    count, mean = class_moments(features, labels, num_classes)[:2]
    directions = torch.zeros_like(mean)
    for x, y in in_parts(features, labels):
        add_directions(directions, x, y, count, mean, centering)
    return moments_separability(directions, count, mean, centering)


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    r"""Mean feature of each class.

    .. math:: \bar x_k = \frac{1}{n_k} \sum_{i \in k} x_i

    Args:
        features: Features of all samples.
        labels: Class labels in [0, K).
        num_classes: K, >= 1.

    Shape:
        features (N, D), labels (N,) int64; returns (K, D) float64, NaN for a class without samples.

    Raises:
        ValueError: Shapes that do not fit, or a label outside [0, K).
        TypeError: ``labels`` not int64.

    Source:
        BCE3S, eq. 18.

    Example:
        >>> class_means(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0]), 2)
        tensor([[2.],
                [nan]], dtype=torch.float64)
    """
    count, mean = class_moments(features, labels, num_classes)[:2]
    return mean.masked_fill((count == 0).unsqueeze(1), torch.nan)


def angular_distance(features: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    r"""Angle between each feature and the centre of its class.

    .. math:: \theta_i = \arccos \cos(x_i, c_{y_i})

    Args:
        features: Features of all samples.
        labels: Class labels in [0, K).
        centers: The class vectors of a cosine classifier, which the paper calls class centres; or
            :func:`class_means`.

    Shape:
        features (N, D), labels (N,) int64, centers (K, D); returns (N,) float64, in degrees,
        [0, 180]; 90 where either vector is 0.

    Raises:
        ValueError: Shapes that do not fit, or a label outside [0, K).
        TypeError: ``labels`` not int64.

    Source:
        DBM, theta_y of eqs. 2 and 7, fig. 4. By a tangent of the half angle: an arc cosine loses
        half the digits where the cosine is near 1.

    Example:
        >>> x, y = torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 0])
        >>> angular_distance(x, y, centers=torch.tensor([[3.0, 0.0]]))
        tensor([ 0., 45.], dtype=torch.float64)
    """
    check_features(features, labels, len(centers) if centers.ndim else 0)
    check_shape('centers', centers, 'K', features.shape[1])
    rows = unit_rows(features.detach().double())
    own = unit_rows(centers.detach().double())[labels]
    across = torch.linalg.vector_norm(rows - own, dim=1)
    along = torch.linalg.vector_norm(rows + own, dim=1)
    half = torch.atan2(across, along)
    nowhere = (across == 0) & (along == 0)  # both are 0
    return torch.rad2deg(2 * half).masked_fill(nowhere, 90.0)


def moments_compactness(count: Tensor, unit_sum: Tensor, unit_square: Tensor) -> Tensor:
    """:func:`feature_compactness` from the sums of :func:`mmlt.functional.moments.class_moments`.

    Shape:
        count (K,), unit_sum (K, D), unit_square (K,); returns (K,) float64.

    Example:
        >>> features, labels = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0])
        >>> moments = class_moments(features, labels, num_classes=1)
        >>> moments_compactness(moments.count, moments.unit_sum, moments.unit_square)
        tensor([50.], dtype=torch.float64)
    """
    count = count.double()
    ordered_pairs = count * (count - 1)
    pairs = unit_sum.square().sum(dim=1) - unit_square
    return torch.where(ordered_pairs > 0, percent(pairs / ordered_pairs), torch.nan)


def add_directions(
    total: Tensor, x: Tensor, y: Tensor, count: Tensor, mean: Tensor, centering: str
) -> None:
    r"""Add the unit vectors of samples minus a mean to the sums of their classes, in place.

    .. math:: \sum_{i \in k} \frac{x_i - c_i}{|x_i - c_i|}, \quad
              c_i = \bar x_{y_i} \text{ or } \frac{1}{K} \sum_k \bar x_k

    Args:
        total: The sums to add to.
        x: Features in float64.
        y: Their classes.
        count: Samples of each class.
        mean: Means of the classes.
        centering: ``'class'`` or ``'global'``, see :func:`feature_separability`.

    Shape:
        total (K, D), x (N, D), y (N,), count (K,), mean (K, D).
    """
    center = mean[y] if centering == 'class' else center_of(count, mean)
    total.index_add_(0, y, unit_difference(x, center))


def moments_separability(directions: Tensor, count: Tensor, mean: Tensor, centering: str) -> Tensor:
    """:func:`feature_separability` from counts, means and the sums of :func:`add_directions`.

    Shape:
        directions (K, D), count (K,), mean (K, D); returns (K,) float64.
    """
    seen = count > 0
    if centering == 'class':
        mean_rows = unit_rows(mean)
    else:
        mean_rows = unit_difference(mean, center_of(count, mean))
    mean_rows = mean_rows * seen.unsqueeze(1)
    others = mean_rows.sum(dim=0) - mean_rows  # for each k, the sum over j != k
    cosines = (directions * others).sum(dim=1)
    pairs = count * (seen.sum() - 1)
    return torch.where(pairs > 0, percent(-cosines / pairs), torch.nan)


def check_centering(centering: str) -> None:
    """Refuse a centring that :func:`feature_separability` does not know."""
    if centering not in CENTERINGS:
        raise ValueError(f"centering must be 'class' or 'global', got {centering!r}")


def _centered_rows(weight: Tensor) -> Tensor:
    check_shape('weight', weight, 'K+', 'D')
    weight = weight.detach().double()
    return unit_difference(weight, weight.mean(dim=0))
