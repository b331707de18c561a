"""Whether a model is right as often as it says: reliability bins and calibration errors.

Confidences are compared and summed in float64, whatever their dtype.
"""

import torch
from torch import Tensor

from mmlt.functional.checks import (
    check_bool,
    check_label_range,
    check_labels,
    check_scores,
    check_shape,
)


def top1_confidence(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    r"""The largest score of each sample, and whether it is the true class's.

    .. math:: \hat y_i = \arg\max_k p_{ik}, \quad \hat p_i = p_{i \hat y_i}, \quad
              \hat y_i = y_i

    Args:
        probabilities: Scores in [0, 1]. The rows need not sum to 1: sigmoids may be scored too.
        labels: Class labels in [0, K).

    Shape:
        probabilities (N, K), labels (N,) int64; returns (N,) in the dtype of the scores and (N,)
        bool. Among equal scores the first class is the predicted one.

    Raises:
        ValueError: Shapes that do not fit, a score outside [0, 1], a label outside [0, K).
        TypeError: ``labels`` not int64.

    Source:
        Guo et al. 2017, section 2.

    Example:
        >>> top1_confidence(torch.tensor([[0.5, 0.25], [0.0, 1.0]]), torch.tensor([1, 1]))
        (tensor([0.5000, 1.0000]), tensor([False,  True]))
    """
    check_shape('probabilities', probabilities, 'N', 'K+')
    check_labels('labels', labels, len(probabilities))
    check_label_range('labels', labels, probabilities.shape[1])
    check_scores('probabilities', probabilities)
    confidence, predictions = probabilities.max(dim=1)
    return confidence, predictions == labels


def reliability_bins(confidence: Tensor, correct: Tensor, num_bins: int = 15) -> dict[str, Tensor]:
    r"""Mean confidence and accuracy in bins of equal width: what a reliability diagram draws.

    .. math:: B_b = \{i : \tfrac{b}{B} < \hat p_i \le \tfrac{b + 1}{B}\},
              \quad b = 0 \dots B - 1; \quad \hat p_i = 0 \text{ is in } B_0

    Args:
        confidence: Score of the predicted class, in [0, 1].
        correct: Whether the predicted class is the true one.
        num_bins: B, >= 1.

    Shape:
        confidence (N,), correct (N,) bool. Returns ``'count'`` (B,) int64, ``'confidence'`` and
        ``'accuracy'`` (B,) float64, NaN for an empty bin, and ``'edges'`` (B + 1,) float64.

    Raises:
        ValueError: Shapes that do not fit, a confidence outside [0, 1], a bad ``num_bins``.
        TypeError: ``correct`` not bool.

    Source:
        Guo et al. 2017, section 2. The edges are float64: 0.2 in float32 is a little more, and so
        lies above the edge 1 / 5.

    Example:
        >>> bins = reliability_bins(torch.tensor([0.5, 1.0]), torch.tensor([False, True]), 2)
        >>> bins['count'], bins['accuracy']
        (tensor([1, 1]), tensor([0., 1.], dtype=torch.float64))
    """
    if not isinstance(num_bins, int) or num_bins < 1:
        raise ValueError(f'num_bins must be an integer >= 1, got {num_bins!r}')
    if confidence.ndim != 1 or confidence.shape != correct.shape:
        got = f'{tuple(confidence.shape)} and {tuple(correct.shape)}'
        raise ValueError(f'confidence and correct must have the same shape (N,), got {got}')
    check_bool('correct', correct)
    check_scores('confidence', confidence)
    confidence = confidence.double().contiguous()  # bucketize warns about a strided column
    # A quotient is rounded once; most of linspace's edges are off in the last place.
    edges = torch.arange(num_bins + 1, dtype=torch.float64, device=confidence.device) / num_bins
    index = torch.bucketize(confidence, edges[1:-1])
    count = index.bincount(minlength=num_bins)
    empty = confidence.new_zeros(num_bins)
    return {
        'count': count,
        'confidence': empty.index_add(0, index, confidence) / count,  # 0 / 0 is NaN
        'accuracy': empty.index_add(0, index, correct.double()) / count,
        'edges': edges,
    }


def calibration_errors(bins: dict[str, Tensor]) -> dict[str, Tensor]:
    r"""Expected and maximum calibration error of reliability bins.

    .. math:: ECE = \sum_b \frac{|B_b|}{n} |acc(B_b) - conf(B_b)|, \quad
              MCE = \max_{b : |B_b| > 0} |acc(B_b) - conf(B_b)|

    Args:
        bins: As :func:`reliability_bins` returns them.

    Shape:
        Returns ``'ece'`` and ``'mce'``, () float64, fractions in [0, 1]; NaN without samples.

    Source:
        Guo et al. 2017, eqs. 3 and 5.

    Example:
        >>> bins = reliability_bins(torch.tensor([0.25, 1.0]), torch.tensor([True, True]), 2)
        >>> calibration_errors(bins)['ece'].item(), calibration_errors(bins)['mce'].item()
        (0.375, 0.75)
    """
    count = bins['count']
    gap = (bins['accuracy'] - bins['confidence']).abs().nan_to_num(nan=0.0)
    total = count.sum()
    # An empty bin adds nothing to either; without any sample both are NaN.
    return {
        'ece': (count * gap).sum() / total,
        'mce': torch.where(total > 0, gap.max(), torch.nan),
    }


def expected_calibration_error(probabilities: Tensor, labels: Tensor, num_bins: int = 15) -> Tensor:
    r"""How far the confidence of the predicted class is from its accuracy, on average over bins.

    .. math:: ECE = \sum_b \frac{|B_b|}{n} |acc(B_b) - conf(B_b)|

    Args:
        probabilities: Scores in [0, 1]. The rows need not sum to 1: sigmoids may be scored too.
        labels: Class labels in [0, K).
        num_bins: B, >= 1, the number of bins of equal width; see :func:`reliability_bins`.

    Shape:
        probabilities (N, K), labels (N,) int64; returns () float64, a fraction in [0, 1]; NaN
        for N = 0.

    Raises:
        ValueError: Shapes that do not fit, a score outside [0, 1], a label outside [0, K), a bad
            ``num_bins``.
        TypeError: ``labels`` not int64.

    Source:
        Guo et al. 2017, eq. 3.

    Example:
        >>> scores = torch.tensor([[0.75, 0.25], [0.75, 0.25]])
        >>> expected_calibration_error(scores, torch.tensor([0, 1]))
        tensor(0.2500, dtype=torch.float64)
    """
    confidence, correct = top1_confidence(probabilities, labels)
    return calibration_errors(reliability_bins(confidence, correct, num_bins))['ece']
