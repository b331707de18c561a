"""What takes the class means to be known: separability of the features, and NC4."""

import torch
from torch import Tensor

from mmlt.functional.checks import check_features, check_shape
from mmlt.functional.collapse import as_classifier, check_predictions, decide, nearest_mean
from mmlt.functional.geometry import (
    CENTERINGS,
    add_directions,
    check_centering,
    moments_separability,
)
from mmlt.functional.moments import in_parts


class SecondPass:
    r"""Sums over samples of what takes the class means to be known.

    .. math:: \sum_{i \in k} \frac{x_i - \bar x_k}{|x_i - \bar x_k|}, \quad
              \sum_{i \in k} \frac{x_i - \bar x}{|x_i - \bar x|}, \quad
              \bar x = \frac{1}{K} \sum_k \bar x_k

    Feed it the samples of the first pass, in any order and in any batches, one process or several.
    Made by :meth:`GeometryStatistics.second_pass`. It keeps copies: what the first pass sees later
    and how the classifier goes on training do not change it.

    Args:
        count: Samples of each class in the first pass.
        mean: Their means.
        weight: Classifier vectors, for NC4 of a linear classifier. Defaults to None.
        bias: The classifier's bias. Defaults to None: zeros.

    Shape:
        count (K,) int64, mean (K, D), weight (K, D), bias (K,).

    Raises:
        ValueError: ``weight`` or ``bias`` of another shape, or ``bias`` alone.

    Example:
        >>> from mmlt.evaluation import GeometryStatistics
        >>> features, labels = torch.tensor([[3.0], [1.0]]), torch.tensor([0, 1])
        >>> statistics = GeometryStatistics(2, 1)
        >>> statistics.update(features, labels)
        >>> second = statistics.second_pass()
        >>> second.update(features, labels, predictions=torch.tensor([1, 1]))
        >>> second.separability('global'), second.nc4()
        (tensor([100., 100.], dtype=torch.float64), tensor(0.5000, dtype=torch.float64))
    """

    def __init__(
        self, count: Tensor, mean: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ):
        self.count = count.clone()
        self.mean = mean.to(torch.float64, copy=True)
        self.passed = torch.zeros_like(count)
        self.directions = {name: torch.zeros_like(self.mean) for name in CENTERINGS}
        self.decided = torch.zeros_like(count[0])  # samples whose prediction is known
        self.disagreements = torch.zeros_like(count[0])
        if bias is not None and (weight is None or bias.shape != count.shape):
            wanted, got = tuple(count.shape), tuple(bias.shape)
            raise ValueError(f'bias must have shape {wanted} and come with weight, got {got}')
        self.classifier = None if weight is None else as_classifier(weight, bias, self.mean)

    def update(self, features: Tensor, labels: Tensor, predictions: Tensor | None = None) -> None:
        """Add samples.

        Args:
            features: (N, D).
            labels: (N,) int64, in [0, K).
            predictions: (N,) int64, in [0, K): what the model decided, for NC4 of a classifier that
                is not ``w x + b``, such as a cosine classifier with a bias. Defaults to None.

        Raises:
            ValueError: Shapes or classes that do not fit, or predictions beside a ``weight``.
            TypeError: ``labels`` or ``predictions`` not int64.
        """
        num_classes, width = self.mean.shape
        check_features(features, labels, num_classes)
        check_shape('features', features, 'N', width)
        if predictions is not None:
            if self.classifier is not None:
                raise ValueError('predictions must be None where weight decides, got both')
            check_predictions(predictions, labels, num_classes)
        given = () if predictions is None else (predictions,)
        for x, *others in in_parts(features, labels, *given):
            x, (y, *decided) = x.to(self.mean), (part.to(self.mean.device) for part in others)
            self.passed += y.bincount(minlength=num_classes)
            for centering, total in self.directions.items():
                add_directions(total, x, y, self.count, self.mean, centering)
            if self.classifier is not None:
                decided = [decide(x, *self.classifier, self.count)]
            if decided:
                self.decided += len(x)
                self.disagreements += (decided[0] != nearest_mean(x, self.count, self.mean)).sum()

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
        self.decided += other.decided
        self.disagreements += other.disagreements
        for name, total in self.directions.items():
            total += other.directions[name]

    def separability(self, centering: str = 'class') -> Tensor:
        """:func:`mmlt.functional.feature_separability` of all samples, (K,) float64.

        Raises:
            ValueError: An unknown ``centering``, or samples other than the first pass's.
        """
        check_centering(centering)
        self._require_all()
        return moments_separability(self.directions[centering], self.count, self.mean, centering)

    def nc4(self) -> Tensor:
        """Part of the samples, in [0, 1], that the nearest class mean decides otherwise.

        Raises:
            ValueError: Nothing known of how some samples are classified, or samples other than the
                first pass's.
        """
        if self.decided != self.passed.sum() or (self.classifier is None and not self.decided):
            raise ValueError(
                'nc4 needs the weight of the classifier, or predictions with every update; got '
                f'None for {self.passed.sum() - self.decided} samples'
            )
        self._require_all()
        return self.disagreements / self.passed.sum().double()

    def _require_all(self) -> None:
        if not torch.equal(self.passed, self.count):
            k = (self.passed != self.count).nonzero()[0].item()
            raise ValueError(
                'the second pass must see the samples of the first: class '
                f'{k} had {self.count[k]}, now {self.passed[k]}'
            )
