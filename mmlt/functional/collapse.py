"""Neural collapse: how far features and classifier are from one simplex, each class one point.

NC1 to NC3 follow from the moments of the features alone. NC4 takes the samples a second time: it
asks how often the classifier and the nearest class mean decide differently.
"""

import torch
from torch import Tensor

from mmlt.functional.checks import check_label_range, check_labels, check_shape
from mmlt.functional.moments import center_of, check_finite, class_moments, in_parts
from mmlt.functional.numerics import unit_rows

_PAIR_ROWS = 1024  # rows at a time of the matrix of cosines


def neural_collapse(
    features: Tensor,
    labels: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    predictions: Tensor | None = None,
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
        \text{nc4} &= \tfrac{1}{N} \#\{i : \hat y_i \ne \arg\min_k |x_i - \mu_k| \}, \quad
            \hat y_i = \arg\max_k (w_k^T x_i + b_k)

    The three of NC2 exist for ``v = hat mu`` (``nc2_norm_means``, ...) and for ``v = w``
    (``nc2_norm_weight``, ...), which is not centred.

    Args:
        features: Features of all samples.
        labels: Class labels in [0, K).
        weight: Classifier vectors as they multiply the features, so normalised already where the
            classifier normalises them. Classes without samples are left out, their vectors too.
        bias: The classifier's bias, for nc4 only. Defaults to None: zeros.
        predictions: :math:`\hat y`, where the classifier decides by something else than w x + b: a
            cosine classifier with a bias or an adjustment does, since it divides x by its length
            before it adds them. One for a class without samples is never the nearest mean's.
            Defaults to None: by ``weight`` and ``bias``, among the classes with samples.

    Shape:
        features (N, D), labels (N,) int64, weight (K, D), bias (K,), predictions (N,) int64;
        returns a dict of () float64. nc4 is in [0, 1]. NaN where nothing is left to compare: nc1
        to nc3 for one class, those of the means if all are equal, nc4 without samples.

    Raises:
        ValueError: Shapes that do not fit, a label or prediction outside [0, K), ``bias`` and
            ``predictions`` together, features that are not finite.
        TypeError: ``labels`` or ``predictions`` not int64.

    Source:
        Papyan, Han and Donoho 2020, where classes are balanced. If they are not: ``mu`` is the
        mean of the class means, ``Sigma_W`` the mean over samples. BCE3S, appendix B.

    Example:
        >>> etf, labels = torch.eye(3) - 1 / 3, torch.arange(3).repeat(2)
        >>> measures = neural_collapse(5 * etf.repeat(2, 1), labels, etf)
        >>> all(value < 1e-6 for value in measures.values()), list(measures)[:3]
        (True, ['nc1', 'nc2_norm_means', 'nc2_angle_means'])
    """
    check_shape('weight', weight, 'K+', 'D')
    moments = class_moments(features, labels, len(weight), 'shared')
    count, mean = moments.count, moments.mean
    assert moments.scatter is not None  # asked for
    measures = moments_collapse(count, mean, moments.scatter, weight)
    if predictions is None:
        weight, bias = as_classifier(weight, bias, mean)
        parts = [decide(x, weight, bias, count) for (x,) in in_parts(features)]
        predictions = torch.cat(parts)
    else:
        check_predictions(predictions, labels, len(weight), bias)
    nearest = torch.cat([nearest_mean(x, count, mean) for (x,) in in_parts(features)])
    return measures | {'nc4': (predictions != nearest).double().mean()}


def moments_collapse(
    count: Tensor, mean: Tensor, scatter: Tensor, weight: Tensor
) -> dict[str, Tensor]:
    """NC1 to NC3 from the sums of :func:`mmlt.functional.moments.class_moments`.

    Shape:
        count (K,), mean (K, D), scatter (D, D) or (K, D, D), weight (K, D); returns a dict of ()
        float64. Classes without samples are left out, their vectors too.
    """
    check_finite('neural collapse', mean, scatter)
    weight = as_classifier(weight, None, mean)[0]
    seen = count > 0
    total = scatter if scatter.dim() == 2 else scatter.sum(dim=0)
    covariance = total / count.sum().clamp(min=1)
    return collapse_measures(mean[seen], covariance, weight[seen])


def collapse_measures(means: Tensor, covariance: Tensor, weight: Tensor) -> dict[str, Tensor]:
    r"""NC1 to NC3 of :func:`neural_collapse`, where their equations stand.

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


def nearest_mean(x: Tensor, count: Tensor, mean: Tensor) -> Tensor:
    """The class whose mean is nearest to each row of ``x`` (N, D), among those with samples."""
    # |x - m|^2 = |x|^2 - 2 (x m - |m|^2 / 2): the largest bracket is the nearest mean.
    center = center_of(count, mean)
    mean = mean - center
    bracket = (x - center) @ mean.T - mean.square().sum(dim=1) / 2
    return bracket.masked_fill(count == 0, -torch.inf).argmax(dim=1)


def decide(x: Tensor, weight: Tensor, bias: Tensor, count: Tensor) -> Tensor:
    """The class of the largest ``w x + b`` for each row of ``x``, among those with samples."""
    return (x @ weight.T + bias).masked_fill(count == 0, -torch.inf).argmax(dim=1)


def as_classifier(weight: Tensor, bias: Tensor | None, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (K, D) and bias (K,), zeros for None: checked, and copies like the means."""
    check_shape('weight', weight, *mean.shape)
    if bias is None:
        bias = mean.new_zeros(len(mean))
    check_shape('bias', bias, len(mean))
    return weight.detach().to(mean, copy=True), bias.detach().to(mean, copy=True)


def check_predictions(
    predictions: Tensor, labels: Tensor, num_classes: int, bias: Tensor | None = None
) -> None:
    """Refuse predictions that are not one class a sample, or that come with a bias."""
    if bias is not None:
        raise ValueError('bias must be None where predictions are given: they are the decision')
    check_labels('predictions', predictions, len(labels))
    check_label_range('predictions', predictions, num_classes)


def _variability(centered: Tensor, covariance: Tensor, size: Tensor) -> Tensor:
    """``tr(Sigma_W Sigma_B^+) / K`` with ``K Sigma_B = M^T M``, by the singular values of M."""
    values: Tensor
    rows: Tensor
    _, values, rows = torch.linalg.svd(centered, full_matrices=False)
    # The rows sum to 0, so a direction or more is rounding of the means before centring.
    kept = values > max(centered.shape) * torch.finfo(values.dtype).eps * size
    if not kept.any():
        return covariance.new_tensor(torch.nan)
    values, rows = values[kept], rows[kept]
    return (((rows @ covariance) * rows).sum(dim=1) / values.square()).sum()


def _variation_of_norms(rows: Tensor) -> Tensor:
    norms: Tensor = rows.norm(dim=1)
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
