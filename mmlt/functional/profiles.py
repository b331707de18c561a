"""How many images each class has: integer profiles of training, validation and test sets.

A profile is a list of K integers in label order. ``class_counts``, where one is taken, is a list or
a 1-D tensor of such counts.
"""

import math

import torch

from mmlt.functional.checks import Counts, as_counts, check_at_least, check_choice

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
    counts = as_counts(class_counts, minimum=1).long().tolist()
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
    check_choice('direction', direction, DIRECTIONS)
    if not 1 <= ratio < math.inf:
        raise ValueError(f'ratio must be at least 1 and finite, got {ratio}')
    check_at_least('max_count', max_count, 1)
    counts = as_counts(class_counts, minimum=0)
    profile = _exponential_profile(len(counts), max_count, 1 if direction == 'uniform' else ratio)
    order = counts.argsort(stable=True, descending=True)
    if direction == 'backward':
        order = order.flip(0)
    return torch.tensor(profile)[order.cpu().argsort()].tolist()


def _check_profile(num_classes: int, max_count: int, imbalance_factor: float) -> None:
    check_at_least('num_classes', num_classes, 1)
    check_at_least('imbalance_factor', imbalance_factor, 1)
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
