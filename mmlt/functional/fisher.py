"""DBM's Fisher separability: how far two classes stand apart along their best direction.

Eq. 12 at its optimum is a whitened distance of means, so one factorisation of a covariance gives
it: of each pair's own as printed, or of one for all pairs.
"""

import torch
from torch import Tensor

from mmlt.functional.checks import check_choice
from mmlt.functional.moments import check_finite, class_moments

_PAIR_ENTRIES = 2**24  # numbers at a time in the covariances of pairs, 128 MiB


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
    check_choice('covariance', covariance, ('class', 'shared'))
    check_ridge(ridge)
    moments = class_moments(features, labels, num_classes, covariance)
    assert moments.scatter is not None  # asked for
    return moments_fisher(moments.count, moments.mean, moments.scatter, ridge)


def moments_fisher(count: Tensor, mean: Tensor, scatter: Tensor, ridge: float) -> Tensor:
    """:func:`fisher_separability` from the sums of :func:`mmlt.functional.moments.class_moments`.

    The scatter decides the variances: (K, D, D), those of the pair at hand, as printed; (D, D), one
    covariance for all classes.

    Shape:
        count (K,), mean (K, D), scatter (D, D) or (K, D, D); returns (K,) float64.
    """
    check_ridge(ridge)
    check_finite('Fisher separability', mean, scatter)
    shared = scatter.dim() == 2
    # A variance takes two samples; with one for all classes, a mean is enough.
    used = count >= (1 if shared else 2)
    means, number = mean[used], count[used].double()
    if shared:
        values = shared_fisher(means, 2 * scatter / count.sum().clamp(min=1), ridge)
    else:
        values = pair_fisher(means, scatter[used] / number[:, None, None], ridge)
    result = mean.new_full(count.shape, torch.nan)
    result[used] = values / (len(means) - 1) if len(means) > 1 else torch.nan
    return result


def check_ridge(ridge: float) -> None:
    """Refuse a ridge that is not above 0: without it a best direction may have no variance."""
    if not ridge > 0:
        raise ValueError(f'ridge must be > 0, got {ridge}')


def shared_fisher(mean: Tensor, covariance: Tensor, ridge: float) -> Tensor:
    """For each class, the sum over the others of eq. 12, where all pairs have one covariance.

    ``mean`` (K, D), ``covariance`` (D, D), of a pair, so twice that of a class; returns (K,).
    """
    rows, scale = _optimum(mean - mean.mean(dim=0), covariance, ridge)
    square = rows.square().sum(dim=1)
    # sum_j |z_i - z_j|^2, and the z_j sum to 0. Over a scale of 0 it is infinite, or NaN.
    return (len(rows) * square + square.sum()) / scale


def pair_fisher(mean: Tensor, covariance: Tensor, ridge: float) -> Tensor:
    """For each class, the sum over the others of eq. 12, each pair with its own covariances.

    ``mean`` (K, D), ``covariance`` (K, D, D), of each class; returns (K,).
    """
    num_classes, width = mean.shape
    total = mean.new_zeros(num_classes)
    step = max(1, _PAIR_ENTRIES // width**2)
    for i in range(num_classes - 1):
        for others in torch.split(torch.arange(i + 1, num_classes, device=mean.device), step):
            apart = (mean[i] - mean[others]).unsqueeze(1)
            rows, scale = _optimum(apart, covariance[i] + covariance[others], ridge)
            value = rows.square().sum(dim=(1, 2)) / scale
            total[i] += value.sum()
            total.index_add_(0, others, value)
    return total


def _optimum(rows: Tensor, covariance: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Whitened rows and a scale: eq. 12 at its optimum is a row's squared length over the scale.

    ``rows`` (..., J, D), ``covariance`` (..., D, D); returns (..., J, D) and (...).
    """
    scale = covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1)
    unit = covariance / torch.where(scale > 0, scale, 1.0)[..., None, None]
    ridges = ridge * torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)
    factor = torch.linalg.cholesky(unit + ridges)
    return torch.linalg.solve_triangular(factor, rows.mT, upper=False).mT, scale
