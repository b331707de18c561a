"""How far class means and classifier are from neural collapse, from the moments alone."""

import torch
from torch import Tensor

from mmlt.functional.numerics import unit_rows

_PAIR_ROWS = 1024  # rows at a time of the matrix of cosines


def collapse_measures(means: Tensor, covariance: Tensor, weight: Tensor) -> dict[str, Tensor]:
    r"""NC1 to NC3 of :func:`mmlt.functional.neural_collapse`, where their equations stand.

    Args:
        means: Class means.
        covariance: Covariance within classes over all samples.
        weight: Classifier vectors, as they multiply the features.

    Shape:
        means and weight (K, D), covariance (D, D), all float64; returns a dict of () float64. NaN
        where nothing is left to compare: all for one class, those of the means if all are equal.

    Source:
        Papyan, Han and Donoho 2020.

    Example:
        >>> etf = torch.eye(3, dtype=torch.float64) - 1 / 3
        >>> measures = collapse_measures(etf, torch.zeros(3, 3, dtype=torch.float64), 2 * etf)
        >>> max(measures.values()) < 1e-9
        tensor(True)
    """
    size = torch.linalg.vector_norm(means)
    centered = means - means.mean(dim=0)
    if torch.linalg.vector_norm(centered) <= 1e-12 * size:  # only rounding is left
        centered = torch.zeros_like(centered)
    measures = {'nc1': _variability(centered, covariance, size)}
    for name, rows in (('means', centered), ('weight', weight)):
        measures[f'nc2_norm_{name}'] = _variation_of_norms(rows)
        measures[f'nc2_angle_{name}'], measures[f'nc2_etf_{name}'] = _angles(rows)
    measures['nc3'] = (weight / weight.norm() - centered / centered.norm()).norm()
    if len(means) < 2:
        measures = dict.fromkeys(measures, means.new_tensor(torch.nan))
    return measures


def _variability(centered: Tensor, covariance: Tensor, size: Tensor) -> Tensor:
    """``tr(Sigma_W Sigma_B^+) / K`` with ``K Sigma_B = M^T M``, by the singular values of M."""
    values, rows = torch.linalg.svd(centered, full_matrices=False)[1:]
    # The rows sum to 0, so a direction or more is rounding of the means before centring.
    kept = values > max(centered.shape) * torch.finfo(values.dtype).eps * size
    if not kept.any():
        return covariance.new_tensor(torch.nan)
    values, rows = values[kept], rows[kept]
    return (((rows @ covariance) * rows).sum(dim=1) / values.square()).sum()


def _variation_of_norms(rows: Tensor) -> Tensor:
    norms = rows.norm(dim=1)
    return (norms - norms.mean()).square().mean().sqrt() / norms.mean()


def _angles(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Over all pairs: deviation of the cosines from their mean, mean distance to an ETF's."""
    count = len(rows)
    if count < 2 or not rows.any():
        return rows.new_tensor(torch.nan), rows.new_tensor(torch.nan)
    pairs = count * (count - 1)
    unit = unit_rows(rows)
    mean = (unit.sum(dim=0).square().sum() - unit.square().sum()) / pairs
    square = distance = rows.new_zeros(())
    for start in range(0, count, _PAIR_ROWS):
        part = unit[start : start + _PAIR_ROWS]
        cosine = part @ unit.T
        # As many zeros below as rows here: a row is no pair with itself.
        itself = torch.ones_like(cosine, dtype=torch.bool).triu(start).tril(start)
        square = square + (cosine - mean).masked_fill(itself, 0.0).square().sum()
        distance = distance + (cosine + 1 / (count - 1)).masked_fill(itself, 0.0).abs().sum()
    return (square / pairs).sqrt(), distance / pairs
