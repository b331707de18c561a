"""Sums over features from which the geometry follows, taken batch by batch.

However many samples there are, memory is O(K D), and D^2 more for the scatter. Everything is summed
in float64. Scatters are taken about the means, never as a difference of squares, and so stay exact
where the features of a class nearly coincide.
"""

import torch
from torch import Tensor

from mmlt.functional.collapse import collapse_measures
from mmlt.functional.fisher import pair_fisher, shared_fisher
from mmlt.functional.numerics import unit_rows

CENTERINGS = ('class', 'global')
_ROWS = 8192  # samples at a time in float64


class GeometryStatistics:
    r"""Count, mean, sum of unit vectors and scatter of the features of each class, from one pass.

    .. math:: n_k, \quad \bar x_k, \quad \sum_{i \in k} \frac{x_i}{|x_i|}, \quad
              S_k = \sum_{i \in k} (x_i - \bar x_k) (x_i - \bar x_k)^T

    Compactness, Fisher separability and NC1 to NC3 follow from these, exact to rounding. Both
    readings of the separability of features divide each sample by its distance to a mean, and NC4
    asks for the nearest mean: they need the means first, so a :meth:`second_pass` over the samples.

    Args:
        num_classes: K, >= 1.
        width: D, >= 1.
        scatter: ``'shared'``: the sum of the S_k, D^2 numbers. ``'class'``: each S_k, K D^2
            numbers. None: none, for the measures of cosines only.
        device: Where the sums live. Samples are brought there.

    Attributes:
        count (Tensor): (K,) int64.
        mean (Tensor): (K, D) float64; zeros for a class without samples.
        unit_sum (Tensor): (K, D) float64.
        unit_square (Tensor): (K,) float64: samples that have a direction.
        scatter (Tensor | None): (D, D) or (K, D, D) float64.

    Raises:
        ValueError: An argument out of its range.

    Source:
        Means and scatters join as in Chan, Golub and LeVeque 1983, eqs. 2.1.

    Example:
        >>> statistics = GeometryStatistics(num_classes=2, width=2)
        >>> statistics.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
        >>> statistics.update(torch.tensor([[0.0, 2.0]]), torch.tensor([0]))
        >>> statistics.compactness()
        tensor([50., nan], dtype=torch.float64)
    """

    def __init__(
        self,
        num_classes: int,
        width: int,
        scatter: str | None = 'shared',
        device: str | torch.device = 'cpu',
    ):
        for name, value in (('num_classes', num_classes), ('width', width)):
            if value < 1:
                raise ValueError(f'{name} must be >= 1, got {value}')
        if scatter not in ('shared', 'class', None):
            raise ValueError(f"scatter must be 'shared', 'class' or None, got {scatter!r}")
        self.count = torch.zeros(num_classes, dtype=torch.int64, device=device)
        self.mean = torch.zeros(num_classes, width, dtype=torch.float64, device=device)
        self.unit_sum = torch.zeros_like(self.mean)
        self.unit_square = self.mean.new_zeros(num_classes)
        self.scatter = None
        if scatter is not None:
            shape = (width, width) if scatter == 'shared' else (num_classes, width, width)
            self.scatter = self.mean.new_zeros(shape)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add samples: features (N, D), labels (N,) int64 in [0, K)."""
        for x, y in _batches(features, labels, self.mean):
            classes, index, count = y.unique(return_inverse=True, return_counts=True)
            # Only the rows of the classes at hand: K may be much larger than a batch.
            empty = x.new_zeros(len(classes), x.shape[1])
            mean = empty.index_add(0, index, x) / count.unsqueeze(1)
            unit = unit_rows(x)
            square = empty[:, 0].index_add(0, index, unit.square().sum(dim=1))
            scatter = self._scatter(x - mean[index], index, len(classes))
            self._join(classes, count, mean, empty.index_add(0, index, unit), square, scatter)

    def merge(self, other: 'GeometryStatistics') -> None:
        """Add what another one, of the same shape, has seen: of another process, say.

        Raises:
            ValueError: ``other`` with other classes, another width or another kind of scatter.
        """
        for name in ('mean', 'scatter'):
            own, its = _shape(getattr(self, name)), _shape(getattr(other, name))
            if own != its:
                raise ValueError(f'other must have a {name} of shape {own}, got {its}')
        parts = (other.count, other.mean, other.unit_sum, other.unit_square, other.scatter)
        device = self.mean.device
        classes = torch.arange(len(self.count), device=device)
        self._join(classes, *(None if part is None else part.to(device) for part in parts))

    def compactness(self) -> Tensor:
        """:func:`mmlt.functional.feature_compactness` of all samples, (K,) float64."""
        count = self.count.double()
        ordered_pairs = count * (count - 1)
        pairs = self.unit_sum.square().sum(dim=1) - self.unit_square
        return torch.where(ordered_pairs > 0, percent(pairs / ordered_pairs), torch.nan)

    def fisher_separability(self, ridge: float = 1e-3) -> Tensor:
        """:func:`mmlt.functional.fisher_separability` of all samples, (K,) float64.

        The scatter decides the variances: ``'class'``, those of the pair at hand, as printed;
        ``'shared'``, one covariance for all classes.
        """
        if not ridge > 0:
            raise ValueError(f'ridge must be > 0, got {ridge}')
        self._require_scatter('Fisher separability')
        shared = self.scatter.dim() == 2
        # A variance takes two samples; with one for all classes, a mean is enough.
        used = self.count >= (1 if shared else 2)
        mean, count = self.mean[used], self.count[used].double()
        if shared:
            covariance = 2 * self.scatter / self.count.sum().clamp(min=1)
            values = shared_fisher(mean, covariance, ridge)
        else:
            values = pair_fisher(mean, self.scatter[used] / count[:, None, None], ridge)
        result = self.mean.new_full(self.count.shape, torch.nan)
        result[used] = values / (len(mean) - 1) if len(mean) > 1 else torch.nan
        return result

    def neural_collapse(self, weight: Tensor) -> dict[str, Tensor]:
        """NC1 to NC3 of :func:`mmlt.functional.neural_collapse`; NC4 is the second pass's."""
        self._require_scatter('neural collapse')
        weight = _check_weight(weight, self.mean)
        seen = self.count > 0
        total = self.scatter if self.scatter.dim() == 2 else self.scatter.sum(dim=0)
        covariance = total / self.count.sum().clamp(min=1)
        return collapse_measures(self.mean[seen], covariance, weight[seen])

    def second_pass(self, weight: Tensor | None = None, bias: Tensor | None = None) -> 'SecondPass':
        """Start the pass that needs the means; with the classifier, it measures NC4 too."""
        return SecondPass(self.count, self.mean, weight, bias)

    def _scatter(self, rows: Tensor, index: Tensor, num_present: int) -> Tensor | None:
        if self.scatter is None:
            return None
        if self.scatter.dim() == 2:
            return rows.T @ rows
        scatter = rows.new_zeros(num_present, rows.shape[1], rows.shape[1])
        for k in range(num_present):
            of_class = rows[index == k]
            scatter[k] = of_class.T @ of_class
        return scatter

    def _join(self, classes, count, mean, unit_sum, unit_square, scatter) -> None:
        own = self.count[classes]
        share = count.double() / (own + count).clamp(min=1)  # of int64 alone: float32
        step = mean - self.mean[classes]
        if scatter is not None:
            # Between the two means of a class lies own * count / (own + count) * step step^T.
            between = (own * share).sqrt().unsqueeze(1) * step
            if self.scatter.dim() == 2:
                self.scatter += scatter + between.T @ between
            else:
                outer = between.unsqueeze(2) * between.unsqueeze(1)
                self.scatter.index_add_(0, classes, scatter + outer)
        self.mean.index_add_(0, classes, share.unsqueeze(1) * step)
        self.count.index_add_(0, classes, count)
        self.unit_sum.index_add_(0, classes, unit_sum)
        self.unit_square.index_add_(0, classes, unit_square)

    def _require_scatter(self, measure: str) -> None:
        if self.scatter is None:
            raise ValueError(f"{measure} needs scatter='shared' or 'class', got None")
        if not (self.mean.isfinite().all() and self.scatter.isfinite().all()):
            raise ValueError(f'{measure} needs finite features')


class SecondPass:
    r"""Sums over samples of what takes the class means to be known.

    .. math:: \sum_{i \in k} \frac{x_i - \bar x_k}{|x_i - \bar x_k|}, \quad
              \sum_{i \in k} \frac{x_i - \bar x}{|x_i - \bar x|}, \quad
              \bar x = \frac{1}{K} \sum_k \bar x_k

    Feed it the samples of the first pass, in any order and in any batches, one process or several.
    Made by :meth:`GeometryStatistics.second_pass`.

    Args:
        count: Samples of each class in the first pass.
        mean: Their means.
        weight: Classifier vectors, for NC4. Defaults to None.
        bias: The classifier's bias. Defaults to None: zeros.

    Shape:
        count (K,) int64, mean (K, D), weight (K, D), bias (K,).

    Raises:
        ValueError: ``weight`` or ``bias`` of another shape, or ``bias`` alone.

    Example:
        >>> features, labels = torch.tensor([[3.0], [1.0]]), torch.tensor([0, 1])
        >>> statistics = GeometryStatistics(2, 1)
        >>> statistics.update(features, labels)
        >>> second = statistics.second_pass()
        >>> second.update(features, labels)
        >>> second.separability('global')
        tensor([100., 100.], dtype=torch.float64)
    """

    def __init__(
        self, count: Tensor, mean: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ):
        self.count = count.clone()
        self.mean = mean.double()
        self.passed = torch.zeros_like(count)
        self.seen = count > 0
        # The mean of the class means: a frequent class has no more say in it than a rare one.
        self.center = self.mean.sum(dim=0) / self.seen.sum().clamp(min=1)
        self.directions = {name: torch.zeros_like(self.mean) for name in CENTERINGS}
        self.disagreements = torch.zeros_like(count[0])
        self.weight = None if weight is None else _check_weight(weight, self.mean)
        self.bias = None
        if bias is not None:
            if self.weight is None or bias.shape != count.shape:
                wanted, got = tuple(count.shape), tuple(bias.shape)
                raise ValueError(f'bias must have shape {wanted} and come with weight, got {got}')
            self.bias = bias.detach().to(self.mean)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add samples: features (N, D), labels (N,) int64 in [0, K)."""
        for x, y in _batches(features, labels, self.mean):
            self.passed += y.bincount(minlength=len(self.count))
            self.directions['class'].index_add_(0, y, unit_difference(x, self.mean[y]))
            self.directions['global'].index_add_(0, y, unit_difference(x, self.center))
            if self.weight is not None:
                self.disagreements += (self._predicted(x) != self._nearest(x)).sum()

    def merge(self, other: 'SecondPass') -> None:
        """Add what another one, of the same first pass, has seen.

        Raises:
            ValueError: ``other`` with other means.
        """
        # Of features that are not finite the means are NaN, and NaN is not equal to itself.
        same = torch.equal(self.mean.nan_to_num(), other.mean.nan_to_num())
        if not same or not torch.equal(self.count, other.count):
            raise ValueError('other must follow the same first pass: counts or means differ')
        self.passed += other.passed
        self.disagreements += other.disagreements
        for name, total in self.directions.items():
            total += other.directions[name]

    def separability(self, centering: str = 'class') -> Tensor:
        """:func:`mmlt.functional.feature_separability` of all samples, (K,) float64.

        Raises:
            ValueError: An unknown ``centering``, or samples other than the first pass's.
        """
        if centering not in CENTERINGS:
            raise ValueError(f"centering must be 'class' or 'global', got {centering!r}")
        self._require_all()
        if centering == 'class':
            mean_rows = unit_rows(self.mean)
        else:
            mean_rows = unit_difference(self.mean, self.center)
        mean_rows = mean_rows * self.seen.unsqueeze(1)
        others = mean_rows.sum(dim=0) - mean_rows  # for each k, the sum over j != k
        cosines = (self.directions[centering] * others).sum(dim=1)
        pairs = self.count * (self.seen.sum() - 1)
        return torch.where(pairs > 0, percent(-cosines / pairs), torch.nan)

    def nc4(self) -> Tensor:
        """Part of the samples, in [0, 1], that the nearest class mean decides otherwise.

        Raises:
            ValueError: No classifier, or samples other than the first pass's.
        """
        if self.weight is None:
            raise ValueError('nc4 needs the weight of the classifier, got None')
        self._require_all()
        return self.disagreements / self.passed.sum().double()

    def _predicted(self, x: Tensor) -> Tensor:
        logits = x @ self.weight.T
        if self.bias is not None:
            logits = logits + self.bias
        return logits.masked_fill(~self.seen, -torch.inf).argmax(dim=1)

    def _nearest(self, x: Tensor) -> Tensor:
        # |x - m|^2 = |x|^2 - 2 (x m - |m|^2 / 2): the largest bracket is the nearest mean.
        mean = self.mean - self.center
        bracket = (x - self.center) @ mean.T - mean.square().sum(dim=1) / 2
        return bracket.masked_fill(~self.seen, -torch.inf).argmax(dim=1)

    def _require_all(self) -> None:
        if not torch.equal(self.passed, self.count):
            k = (self.passed != self.count).nonzero()[0].item()
            raise ValueError(
                'the second pass must see the samples of the first: class '
                f'{k} had {self.count[k]}, now {self.passed[k]}'
            )


def percent(mean_cosine: Tensor) -> Tensor:
    """``(1 + cos) / 2`` in percent, for any shape."""
    return 50 * (1 + mean_cosine)


def unit_difference(x: Tensor, center: Tensor) -> Tensor:
    """Unit rows of ``x - center``; 0 where only rounding is left of the difference."""
    rows = x - center
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    # Asked this way round, NaN stays NaN.
    return unit_rows(rows.masked_fill(length <= 1e-12 * size, 0.0))


def check_features(features: Tensor, labels: Tensor, num_classes: int) -> None:
    """Refuse features that are not (N, D), or labels that are not (N,) int64 in [0, K)."""
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


def _batches(features: Tensor, labels: Tensor, mean: Tensor):
    """Check the samples and yield them, some thousands at a time, in the mean's dtype."""
    num_classes, width = mean.shape
    check_features(features, labels, num_classes)
    if features.shape[1] != width:
        raise ValueError(f'features must have width {width}, got {features.shape[1]}')
    for x, y in zip(features.detach().split(_ROWS), labels.split(_ROWS)):
        yield x.to(mean), y.to(mean.device)


def _check_weight(weight: Tensor, mean: Tensor) -> Tensor:
    if weight.shape != mean.shape:
        wanted, got = tuple(mean.shape), tuple(weight.shape)
        raise ValueError(f'weight must have shape {wanted}, got {got}')
    return weight.detach().to(mean)


def _shape(tensor: Tensor | None) -> tuple | None:
    return None if tensor is None else tuple(tensor.shape)
