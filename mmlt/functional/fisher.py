"""DBM's Fisher separability from the moments alone; the equations stand in its public function.

See :func:`mmlt.functional.fisher_separability`.
"""

import torch
from torch import Tensor

_PAIR_ENTRIES = 2**24  # numbers at a time in the covariances of pairs, 128 MiB


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
        for others in torch.arange(i + 1, num_classes, device=mean.device).split(step):
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
