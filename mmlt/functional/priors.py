"""What the class counts weigh: log-priors, class weights, how often a class is drawn.

``class_counts`` is a list or a 1-D tensor with the number of training images of each class. All is
computed in float64; what goes into a loss is returned in torch's default dtype.
"""

import math

import torch
from torch import Tensor

from mmlt.functional.checks import Counts, as_counts, check_not_negative


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
    counts = as_counts(class_counts, minimum=1)
    return (counts.log() - counts.sum().log()).to(torch.get_default_dtype())


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
    counts = as_counts(class_counts, minimum=1)
    # expm1: for beta near 1 the plain difference 1 - beta^n loses most of its digits.
    log_beta = math.log(beta) if beta > 0 else -math.inf
    weights = (1 - beta) / -torch.expm1(counts * log_beta)
    if normalize:
        weights = weights * (len(weights) / weights.sum())
    return weights.to(torch.get_default_dtype())


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
    check_not_negative('power', power)
    counts = as_counts(class_counts, minimum=0)
    present = counts > 0
    if not present.any():
        raise ValueError('class_counts must not be 0 for all classes')
    # Relative to the smallest class no power overflows, and softmax normalises.
    relative = counts[present] / counts[present].min()
    probabilities = torch.zeros_like(counts)
    probabilities[present] = ((1 - power) * relative.log()).softmax(0)
    return probabilities
