"""What the class counts of a long-tailed training set imply: profiles, weights, priors, groups.

``class_counts`` is a list or a 1-D tensor with the number of training images of each class.
Statistics are computed in float64 and returned in torch's default dtype.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Counts = Sequence[int] | Tensor
DIRECTIONS = ('forward', 'backward', 'uniform')


def exponential_class_counts(
    num_classes: int, max_count: int, imbalance_factor: float
) -> list[int]:
    r"""The exponential long-tailed profile of the CIFAR-LT benchmarks.

    .. math:: n_k = \lfloor n_{max} \, (1 / IF)^{k / (K - 1)} \rfloor, \quad k = 0 \dots K - 1

    Args:
        num_classes: K, >= 1.
        max_count: Images of the largest class, >= ``imbalance_factor``.
        imbalance_factor: IF, largest over smallest count, >= 1.

    Shape:
        Returns a list of K counts, largest first, all >= 1.

    Raises:
        ValueError: An argument outside its range.

    Source:
        Cui et al. (2019) and Cao et al. (2019, LDAM), whose rounding is kept.

    Example:
        >>> exponential_class_counts(10, 5000, 100)
        [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    _check_profile(num_classes, max_count, imbalance_factor)
    return _exponential_profile(num_classes, max_count, imbalance_factor)


def step_class_counts(num_classes: int, max_count: int, imbalance_factor: float) -> list[int]:
    r"""The step profile: the first half of the classes large, the second half small.

    .. math:: n_k = n_{max} \text{ for } k < \lfloor K / 2 \rfloor, \text{ else }
              \lfloor n_{max} / IF \rfloor

    Args:
        num_classes: K, >= 1 (a single class is large).
        max_count: Images of a large class, >= ``imbalance_factor``.
        imbalance_factor: IF, large over small count, >= 1.

    Shape:
        Returns a list of K counts.

    Raises:
        ValueError: An argument outside its range.

    Source:
        Buda et al. (2018); Cao et al. (2019, LDAM).

    Example:
        >>> step_class_counts(4, 500, 10)
        [500, 500, 50, 50]
    """
    _check_profile(num_classes, max_count, imbalance_factor)
    large = max(num_classes // 2, 1)
    return [max_count] * large + [int(max_count / imbalance_factor)] * (num_classes - large)


def validation_counts(class_counts: Counts, val_fraction: float) -> list[int]:
    r"""How many images of each class a stratified validation split takes from the training set.

    .. math:: v_k = \min(\lfloor n_k f + 1/2 \rfloor, \; n_k - 1)

    Halves are rounded up, so that at 10 % a class of five images is validated by one of them. At
    least one image of every class stays in the training set.

    Args:
        class_counts: Images of each class before the split, >= 1.
        val_fraction: f, in (0, 1).

    Shape:
        class_counts (K,); returns a list of K counts, >= 0. The training part has n_k - v_k.

    Raises:
        ValueError: ``val_fraction`` outside (0, 1), or a class without images.

    Example:
        >>> validation_counts([500, 14, 5, 4, 1], 0.1)
        [50, 1, 1, 0, 0]
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f'val_fraction must be in (0, 1), got {val_fraction}')
    counts = _as_counts(class_counts, minimum=1).long().tolist()
    return [min(int(count * val_fraction + 0.5), count - 1) for count in counts]


def shifted_class_counts(
    class_counts: Counts, max_count: int, ratio: float, direction: str
) -> list[int]:
    r"""A long-tailed test distribution along the training distribution, or against it.

    .. math:: m_k = \max(1, \lfloor m_{max} \, (1 / \rho)^{r_k / (K - 1)} \rfloor)

    for the class of rank :math:`r_k` from 0: the largest training class first (``'forward'``: test
    and training set have the same head) or last (``'backward'``: the rare classes are the frequent
    ones of the test). Among classes of one size the smaller label has the smaller training rank.
    ``'uniform'`` has :math:`m_{max}` images of every class, whatever the ratio.

    Args:
        class_counts: Training images of each class, >= 0.
        max_count: Test images of the largest class, >= 1: what the balanced test set has of every
            class.
        ratio: :math:`\rho`, largest over smallest count, >= 1. The protocol has 2, 5, 10, 25, 50.
        direction: 'forward', 'backward' or 'uniform'.

    Shape:
        class_counts (K,); returns a list of K counts, >= 1, in label order.

    Raises:
        ValueError: An argument outside its range.

    Source:
        Hong et al. (CVPR 2021, LADE), shifted test sets; Zhang et al. (NeurIPS 2022, SADE),
        test-agnostic long-tailed recognition. The rounding is that of the training profiles.

    Example:
        >>> shifted_class_counts([9, 70, 30], max_count=100, ratio=25, direction='forward')
        [4, 100, 20]
        >>> shifted_class_counts([9, 70, 30], max_count=100, ratio=25, direction='backward')
        [100, 4, 20]
    """
    if direction not in DIRECTIONS:
        raise ValueError(f'direction must be one of {DIRECTIONS}, got {direction!r}')
    if not 1 <= ratio < math.inf:
        raise ValueError(f'ratio must be at least 1 and finite, got {ratio}')
    if not max_count >= 1:
        raise ValueError(f'max_count must be at least 1, got {max_count}')
    counts = _as_counts(class_counts, minimum=0)
    profile = _exponential_profile(len(counts), max_count, 1 if direction == 'uniform' else ratio)
    order = counts.argsort(stable=True, descending=True)
    if direction == 'backward':
        order = order.flip(0)
    return torch.tensor(profile)[order.cpu().argsort()].tolist()


def sampling_probabilities(class_counts: Counts, power: float) -> Tensor:
    r"""How often each class is drawn when every image has the weight :math:`n_k^{-power}`.

    .. math:: p_k = n_k^{1 - power} / \sum_j n_j^{1 - power}

    Args:
        class_counts: Training images of each class, >= 0, not all 0.
        power: >= 0. 0: images equally likely; 1: classes equally likely; above it, rare classes
            are drawn more often than frequent ones.

    Shape:
        class_counts (K,); returns (K,) float64, 0 for a class without images.

    Raises:
        ValueError: ``power`` negative or not finite, a bad count, no images at all.

    Source:
        Kang et al. (ICLR 2020), eq. 1; their q is 1 - ``power``.

    Example:
        >>> sampling_probabilities([90, 10, 0], power=0.5)
        tensor([0.7500, 0.2500, 0.0000], dtype=torch.float64)
    """
    if not 0 <= power < math.inf:
        raise ValueError(f'power must be >= 0 and finite, got {power}')
    counts = _as_counts(class_counts, minimum=0)
    present = counts > 0
    if not present.any():
        raise ValueError('class_counts must not be 0 for all classes')
    # Relative to the smallest class no power overflows, and softmax normalises.
    relative = counts[present] / counts[present].min()
    probabilities = torch.zeros_like(counts)
    probabilities[present] = ((1 - power) * relative.log()).softmax(0)
    return probabilities


def effective_number_weights(class_counts: Counts, beta: float, normalize: bool = True) -> Tensor:
    r"""Class weights from the inverse effective number of samples.

    .. math:: w_k = \frac{1 - \beta}{1 - \beta^{n_k}}

    Args:
        class_counts: Training images of each class, >= 1.
        beta: In [0, 1): 0 weighs all classes alike, towards 1 it becomes inverse frequency.
        normalize: Scale the weights to sum to K (mean 1).

    Shape:
        class_counts (K,); returns (K,).

    Raises:
        ValueError: ``beta`` outside [0, 1), or a class without images.

    Source:
        BCE3S, eqs. 26 and 35 (``normalize=False``; beta 0.9999); its released code normalises,
        with beta 0.99999. Cui et al. (2019).

    Example:
        >>> effective_number_weights([1, 2], beta=0.5, normalize=False)
        tensor([1.0000, 0.6667])
    """
    if not 0 <= beta < 1:
        raise ValueError(f'beta must be in [0, 1), got {beta}')
    counts = _as_counts(class_counts, minimum=1)
    # expm1: for beta near 1 the plain difference 1 - beta^n loses most of its digits.
    log_beta = math.log(beta) if beta > 0 else -math.inf
    weights = (1 - beta) / -torch.expm1(counts * log_beta)
    if normalize:
        weights = weights * (len(weights) / weights.sum())
    return weights.to(torch.get_default_dtype())


def class_log_prior(class_counts: Counts) -> Tensor:
    r"""The logarithm of the class frequencies.

    .. math:: \log \pi_k = \log \frac{n_k}{\sum_j n_j}

    Args:
        class_counts: Training images of each class, >= 1.

    Shape:
        class_counts (K,); returns (K,), all <= 0.

    Raises:
        ValueError: A class without images, whose logarithm is not finite.

    Source:
        The logit adjustment of BCL and of balanced softmax; BCL's code yields log 0 silently.

    Example:
        >>> class_log_prior([3, 1]).exp()
        tensor([0.7500, 0.2500])
    """
    counts = _as_counts(class_counts, minimum=1)
    return (counts.log() - counts.sum().log()).to(torch.get_default_dtype())


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
    counts = _as_counts(class_counts, minimum=0)
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
    if len(labels) and (labels.min() < 0 or labels.max() >= num_classes):
        found = f'[{labels.min().item()}, {labels.max().item()}]'
        raise ValueError(f'labels must be in [0, {num_classes}), got values in {found}')
    total = labels.bincount(minlength=num_classes).double()
    correct = labels[predictions == labels].bincount(minlength=num_classes).double()
    per_class = correct / total  # 0 / 0 is NaN: a class without test samples
    seen = total > 0
    result = {name: per_class[group & seen].mean().item() for name, group in groups.items()}
    accuracies = per_class[seen]
    result['all'] = (correct.sum() / total.sum()).item()
    result['all_macro'] = accuracies.mean().item()
    result['worst'] = accuracies.min().item() if len(accuracies) else math.nan
    result['harmonic'] = (1 / (1 / accuracies).mean()).item()
    result['per_class'] = per_class
    return result


def _check_profile(num_classes: int, max_count: int, imbalance_factor: float) -> None:
    if num_classes < 1:
        raise ValueError(f'num_classes must be at least 1, got {num_classes}')
    if not imbalance_factor >= 1:
        raise ValueError(f'imbalance_factor must be at least 1, got {imbalance_factor}')
    if max_count < imbalance_factor:
        raise ValueError(
            f'max_count must be at least imbalance_factor ({imbalance_factor}), or the smallest '
            f'class would be empty; got {max_count}'
        )


def _exponential_profile(num_classes: int, max_count: int, ratio: float) -> list[int]:
    steps = max(num_classes - 1, 1)
    counts = (max_count * (1 / ratio) ** (k / steps) for k in range(num_classes))
    # The product can round to just below 1 (49 * (1 / 49) does).
    return [max(int(count), 1) for count in counts]


def _as_counts(class_counts: Counts, minimum: int) -> Tensor:
    counts = torch.as_tensor(class_counts).double()
    if counts.ndim != 1 or len(counts) == 0:
        got = tuple(counts.shape)
        raise ValueError(f'class_counts must have shape (K,) with K >= 1, got {got}')
    bad = ~((counts >= minimum) & counts.isfinite())
    if bad.any():
        k = int(bad.nonzero()[0])
        raise ValueError(
            f'class_counts must be at least {minimum} for every class, '
            f'got {counts[k].item():g} for class {k}'
        )
    return counts


def _as_classes(classes: Sequence[int] | Tensor, name: str) -> Tensor:
    classes = torch.as_tensor(classes).cpu()
    if classes.ndim != 1:
        raise ValueError(f'{name} must have shape (N,), got {tuple(classes.shape)}')
    if classes.numel() and (classes.is_floating_point() or classes.dtype == torch.bool):
        raise TypeError(f'{name} must be integer classes, got {classes.dtype}')
    return classes.long()
