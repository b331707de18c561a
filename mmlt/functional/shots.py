"""Classes with many, medium and few training images, and the accuracy on each of these groups."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmlt.functional.checks import Counts, as_counts, check_label_range, check_shape


def shot_groups(class_counts: Counts, many: int = 100, few: int = 20) -> dict[str, Tensor]:
    """Which classes are many-, medium- and few-shot, by their training images.

    ``many``: n_k > many; ``medium``: few <= n_k <= many; ``few``: n_k < few.

    Args:
        class_counts: Training images of each class, >= 0.
        many: Upper end of the medium group.
        few: Lower end of the medium group, <= ``many``.

    Shape:
        class_counts (K,); returns three bool tensors (K,), exactly one of them true for a class.

    Raises:
        ValueError: ``few`` above ``many``, or a bad count.

    Source:
        BCE3S, experiments ("> 100, <= 100 and >= 20, < 20"); some codes count 20 as few.

    Example:
        >>> shot_groups([101, 100, 20, 19])['medium']
        tensor([False,  True,  True, False])
    """
    if few > many:
        raise ValueError(f'few must not exceed many, got few={few}, many={many}')
    counts = as_counts(class_counts, minimum=0)
    is_many, is_few = counts > many, counts < few
    return {'many': is_many, 'medium': ~(is_many | is_few), 'few': is_few}


def shot_accuracy(
    predictions: Sequence[int] | Tensor,
    labels: Sequence[int] | Tensor,
    class_counts: Counts,
    many: int = 100,
    few: int = 20,
) -> dict[str, float | Tensor]:
    """Accuracy by shot group, over all samples, over all classes, and at the worst class.

    Args:
        predictions: Predicted class of each test sample.
        labels: True class of each test sample, in [0, K).
        class_counts: Training images of each class, >= 0.
        many: See :func:`shot_groups`.
        few: See :func:`shot_groups`.

    Shape:
        predictions (N,), labels (N,), class_counts (K,). Returns fractions in [0, 1]: ``'many'``,
        ``'medium'``, ``'few'`` (mean accuracy of the group's classes that have test samples),
        ``'all'`` (over samples), ``'all_macro'``, ``'worst'``, ``'harmonic'`` (mean, minimum and
        harmonic mean over classes with test samples; harmonic is 0 if one class is) and
        ``'per_class'`` (K,) float64. What has no sample is NaN.

    Raises:
        ValueError: Shapes that do not fit, or a label outside [0, K).
        TypeError: Predictions or labels that are not integers.

    Source:
        BCE3S, experiments. Its groups weigh classes alike, which on a balanced test set is the
        same as weighing samples alike.

    Example:
        >>> result = shot_accuracy([0, 0, 1, 0], [0, 0, 1, 1], class_counts=[200, 5])
        >>> result['many'], result['few'], result['all'], result['medium']
        (1.0, 0.5, 0.75, nan)
    """
    groups = {name: group.cpu() for name, group in shot_groups(class_counts, many, few).items()}
    num_classes = len(groups['many'])
    predictions, labels = _as_classes(predictions, 'predictions'), _as_classes(labels, 'labels')
    if predictions.shape != labels.shape:
        got = f'{tuple(predictions.shape)} and {tuple(labels.shape)}'
        raise ValueError(f'predictions and labels must have the same shape (N,), got {got}')
    check_label_range('labels', labels, num_classes)
    total = labels.bincount(minlength=num_classes).double()
    correct = labels[predictions == labels].bincount(minlength=num_classes).double()
    per_class = correct / total  # 0 / 0 is NaN: a class without test samples
    seen = total > 0
    result: dict[str, float | Tensor] = {
        name: per_class[group & seen].mean().item() for name, group in groups.items()
    }
    accuracies = per_class[seen]
    result['all'] = (correct.sum() / total.sum()).item()
    result['all_macro'] = accuracies.mean().item()
    result['worst'] = accuracies.min().item() if len(accuracies) else math.nan
    result['harmonic'] = (1 / (1 / accuracies).mean()).item()
    result['per_class'] = per_class
    return result


def _as_classes(classes: Sequence[int] | Tensor, name: str) -> Tensor:
    classes = torch.as_tensor(classes).cpu()
    check_shape(name, classes, 'N')
    if classes.numel() and (classes.is_floating_point() or classes.dtype == torch.bool):
        raise TypeError(f'{name} must be integer classes, got {classes.dtype}')
    return classes.long()
