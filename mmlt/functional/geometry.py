"""How far apart the classes stand and how close the samples of each, in float64, no gradients.

The measures of BCE3S average cosines over pairs, in percent: as separability, 100 is opposite, 50
is at right angles. The pairs are never formed: a sum of cosines is an inner product of summed unit
vectors. Features that do not fit into memory go batch by batch through
:class:`mmlt.functional.geometry_statistics.GeometryStatistics`, which has the same measures.
"""

import torch
from torch import Tensor

from mmlt.functional.geometry_statistics import (
    GeometryStatistics,
    check_features,
    percent,
    unit_difference,
)
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
    return _statistics(features, labels, num_classes).compactness()


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
    second = _statistics(features, labels, num_classes).second_pass()
    second.update(features, labels)
    return second.separability(centering)


def fisher_separability(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    ridge: float = 1e-3,
    covariance: str = 'class',
) -> Tensor:
    r"""Fisher's criterion of each class and every other, along the best direction of each pair.

    .. math:: S_i = \frac{1}{K - 1} \sum_{j \ne i} J_{ij}, \quad
              J_{ij} = \max_w \frac{(w^T \mu_i - w^T \mu_j)^2}{\sigma_i^2 + \sigma_j^2}
              = (\mu_i - \mu_j)^T (\Sigma_i + \Sigma_j + \rho_{ij} I)^{-1} (\mu_i - \mu_j),
              \quad \rho_{ij} = \mathrm{ridge} \cdot \mathrm{tr}(\Sigma_i + \Sigma_j) / D

    ``mu_k`` and ``Sigma_k`` are mean and covariance (over n_k) of the features of class k.

    Args:
        features: Features of all samples.
        labels: Class labels in [0, K).
        num_classes: K, >= 1.
        ridge: > 0, in units of the mean variance of a feature, which leaves the scale of the
            features out of it. Without it the best direction of two classes with fewer than D
            samples has no variance at all; for these the ridge decides the value, so compare
            only what was measured with one ridge and with equally many samples.
        covariance: ``'class'``: each class has its own; takes K D^2 numbers and a factorisation of
            D x D for each pair. ``'shared'``: all have the covariance within classes over all
            samples; takes D^2 numbers and one factorisation.

    Shape:
        features (N, D), labels (N,) int64; returns (K,) float64, >= 0. NaN for a class with fewer
        than 2 samples (``'shared'``: without samples), which is left out of the sum over j, too,
        and if no other class is left. Infinite where classes apart have no spread.

    Raises:
        ValueError: Shapes that do not fit, a label outside [0, K), ``ridge`` not above 0, an
            unknown ``covariance``, features that are not finite.
        TypeError: ``labels`` not int64.

    Source:
        DBM, eqs. 12 and 13, table 6. The paper names neither a ridge nor the normaliser of the
        variance; ``'shared'`` is this library's addition.

    Example:
        >>> x, y = torch.tensor([[0.0], [2.0], [6.0], [8.0]]), torch.tensor([0, 0, 1, 1])
        >>> fisher_separability(x, y, 2, ridge=1e-9)  # (7 - 1)^2 / (1 + 1)
        tensor([18.0000, 18.0000], dtype=torch.float64)
    """
    if covariance not in ('class', 'shared'):
        raise ValueError(f"covariance must be 'class' or 'shared', got {covariance!r}")
    return _statistics(features, labels, num_classes, covariance).fisher_separability(ridge)


def neural_collapse(
    features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor | None = None
) -> dict[str, Tensor]:
    r"""The four properties of neural collapse as distances: all are 0 at full collapse.

    With the class means :math:`\mu_k`, their mean :math:`\mu`, :math:`\hat\mu_k = \mu_k - \mu` and
    :math:`\hat M` the matrix of these rows:

    .. math::
        \text{nc1} &= \mathrm{tr}(\Sigma_W \Sigma_B^+) / K, \quad
            \Sigma_W = \tfrac{1}{N} \sum_i (x_i - \mu_{y_i}) (x_i - \mu_{y_i})^T, \quad
            \Sigma_B = \tfrac{1}{K} \hat M^T \hat M \\
        \text{nc2\_norm} &= \mathrm{std}_k |v_k| / \mathrm{mean}_k |v_k| \\
        \text{nc2\_angle} &= \mathrm{std}_{j \ne k} \cos(v_j, v_k) \\
        \text{nc2\_etf} &= \mathrm{mean}_{j \ne k} |\cos(v_j, v_k) + \tfrac{1}{K - 1}| \\
        \text{nc3} &= | W / |W|_F - \hat M / |\hat M|_F |_F \\
        \text{nc4} &= \tfrac{1}{N} \#\{i : \arg\max_k (w_k^T x_i + b_k)
            \ne \arg\min_k |x_i - \mu_k| \}

    The three of NC2 exist for ``v = hat mu`` (``nc2_norm_means``, ...) and for ``v = w``
    (``nc2_norm_weight``, ...), which is not centred.

    Args:
        features: Features of all samples.
        labels: Class labels in [0, K).
        weight: Classifier vectors as they multiply the features, so normalised already where the
            classifier normalises them. Classes without samples are left out, their vectors too.
        bias: The classifier's bias, for nc4 only. Defaults to None: zeros.

    Shape:
        features (N, D), labels (N,) int64, weight (K, D), bias (K,); returns a dict of () float64.
        nc4 is in [0, 1]. NaN where nothing is left to compare: nc1 to nc3 for one class, those of
        the means if all are equal, nc4 without samples.

    Raises:
        ValueError: Shapes that do not fit, a label outside [0, K), features that are not finite.
        TypeError: ``labels`` not int64.

    Source:
        Papyan, Han and Donoho 2020, where classes are balanced. If they are not: ``mu`` is the
        mean of the class means, ``Sigma_W`` the mean over samples. BCE3S, appendix B.

    Example:
        >>> etf, labels = torch.eye(3) - 1 / 3, torch.arange(3).repeat(2)
        >>> measures = neural_collapse(5 * etf.repeat(2, 1), labels, etf)
        >>> all(value < 1e-6 for value in measures.values()), list(measures)[:3]
        (True, ['nc1', 'nc2_norm_means', 'nc2_angle_means'])
    """
    if weight.ndim != 2 or len(weight) == 0:
        raise ValueError(f'weight must have shape (K, D) with K >= 1, got {tuple(weight.shape)}')
    statistics = _statistics(features, labels, len(weight), 'shared')
    second = statistics.second_pass(weight, bias)
    second.update(features, labels)
    return statistics.neural_collapse(weight) | {'nc4': second.nc4()}


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
    statistics = _statistics(features, labels, num_classes)
    return statistics.mean.masked_fill((statistics.count == 0).unsqueeze(1), torch.nan)


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
    if centers.ndim != 2 or centers.shape[1] != features.shape[1]:
        wanted, got = features.shape[1], tuple(centers.shape)
        raise ValueError(f'centers must have shape (K, {wanted}), got {got}')
    rows = unit_rows(features.detach().double())
    own = unit_rows(centers.detach().double())[labels]
    across = torch.linalg.vector_norm(rows - own, dim=1)
    along = torch.linalg.vector_norm(rows + own, dim=1)
    half = torch.atan2(across, along)
    nowhere = (across == 0) & (along == 0)  # both are 0
    return torch.rad2deg(2 * half).masked_fill(nowhere, 90.0)


def _centered_rows(weight: Tensor) -> Tensor:
    if weight.ndim != 2 or len(weight) == 0:
        raise ValueError(f'weight must have shape (K, D) with K >= 1, got {tuple(weight.shape)}')
    weight = weight.detach().double()
    return unit_difference(weight, weight.mean(dim=0))


def _statistics(
    features: Tensor, labels: Tensor, num_classes: int, scatter: str | None = None
) -> GeometryStatistics:
    check_features(features, labels, num_classes)
    statistics = GeometryStatistics(num_classes, features.shape[1], scatter, features.device)
    statistics.update(features, labels)
    return statistics
