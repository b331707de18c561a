"""The geometry of features that do not fit into memory: sums, batch by batch, process by process.

Whatever the batches, the sums are those of :func:`mmlt.functional.moments.class_moments` over all
samples, and the measures its functions of sums.
"""

import torch
from torch import Tensor

from mmlt.evaluation.second_pass import SecondPass
from mmlt.functional.checks import check_features, check_shape
from mmlt.functional.collapse import moments_collapse
from mmlt.functional.fisher import check_ridge, moments_fisher
from mmlt.functional.geometry import moments_compactness
from mmlt.functional.moments import class_moments, in_parts


class GeometryStatistics:
    r"""Count, mean, sum of unit vectors and scatter of the features of each class, from one pass.

    .. math:: n_k, \quad \bar x_k, \quad \sum_{i \in k} \frac{x_i}{|x_i|}, \quad
              S_k = \sum_{i \in k} (x_i - \bar x_k) (x_i - \bar x_k)^T

    Compactness, Fisher separability and NC1 to NC3 follow from these, exact to rounding. Both
    readings of the separability of features divide each sample by its distance to a mean, and NC4
    asks for the nearest mean: they need the means first, so a :meth:`second_pass` over the samples.
    However many samples there are, memory is O(K D), and D^2 more for the scatter.

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
        check_features(features, labels, len(self.count))
        check_shape('features', features, 'N', self.mean.shape[1])
        kind = self._kind()
        for x, y in in_parts(features, labels):
            # Only the rows of the classes at hand: K may be much larger than a batch.
            classes, index = y.to(self.mean.device).unique(return_inverse=True)
            x = x.to(self.mean.device)
            self._join(classes, *class_moments(x, index, len(classes), kind))

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
        return moments_compactness(self.count, self.unit_sum, self.unit_square)

    def fisher_separability(self, ridge: float = 1e-3) -> Tensor:
        """:func:`mmlt.functional.fisher_separability` of all samples, (K,) float64.

        The scatter decides the variances: ``'class'``, those of the pair at hand, as printed;
        ``'shared'``, one covariance for all classes.
        """
        check_ridge(ridge)
        scatter = self._required_scatter('Fisher separability')
        return moments_fisher(self.count, self.mean, scatter, ridge)

    def neural_collapse(self, weight: Tensor) -> dict[str, Tensor]:
        """NC1 to NC3 of :func:`mmlt.functional.neural_collapse`; NC4 is the second pass's."""
        scatter = self._required_scatter('neural collapse')
        return moments_collapse(self.count, self.mean, scatter, weight)

    def second_pass(self, weight: Tensor | None = None, bias: Tensor | None = None) -> 'SecondPass':
        """Start the pass that needs the means; with the classifier, it measures NC4 too."""
        return SecondPass(self.count, self.mean, weight, bias)

    def _kind(self) -> str | None:
        if self.scatter is None:
            return None
        return 'shared' if self.scatter.dim() == 2 else 'class'

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

    def _required_scatter(self, measure: str) -> Tensor:
        if self.scatter is None:
            raise ValueError(f"{measure} needs scatter='shared' or 'class', got None")
        return self.scatter


def _shape(tensor: Tensor | None) -> tuple | None:
    return None if tensor is None else tuple(tensor.shape)
