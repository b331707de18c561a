"""Class against class: push the classifier vectors apart, towards a simplex ETF.

Both losses read the Gram matrix of the normalised rows, ``g = u u^T`` with ``u_k = w_k / |w_k|``.
No labels enter, so every class is pushed as hard as every other, however rare it is.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmlt.functional.checks import check_chunk_size, check_floating, check_shape
from mmlt.functional.numerics import softplus, unit_rows, upcast


def sigmoid_uniform_loss(
    weight: Tensor, *, include_self: bool = False, chunk_size: int | None = None
) -> Tensor:
    r"""Sigmoid repulsion between the classifier vectors, averaged over classes.

    .. math:: L = \frac{1}{K} \sum_k \sum_{j \ne k} \log(1 + e^{u_k^T u_j})

    Args:
        weight: Classifier vectors, one a row, of any length (normalised inside).
        include_self: Add the constant positive term log(1 + 1/e) of eq. 5.
        chunk_size: Work through this many rows of the Gram matrix at a time and recompute them in
            the backward pass: memory O(chunk_size * K) instead of O(K^2), same value and gradient.

    Shape:
        weight (K, D); returns a scalar in float32, or float64 for float64. K = 1 gives 0.

    Raises:
        ValueError: ``weight`` not 2-D or without rows, ``chunk_size`` not positive.
        TypeError: ``weight`` not floating.

    Source:
        BCE3S, eq. 5. The self pair is "omitted in our experiments" in the paper and included in
        the released code, where it only shifts the logged loss. Eq. 8's sketch of the gradient
        counts each pair once and leaves out the normalisation; autograd gives the true one.

    Example:
        >>> loss = sigmoid_uniform_loss(torch.tensor([[2.0, 0.0], [-1.0, 0.0]]))
        >>> round(loss.item(), 4)  # softplus(-1)
        0.3133
    """
    self_term = math.log1p(math.exp(-1)) if include_self else 0.0
    return _mean_over_classes(_repulsion, weight, chunk_size) + self_term


def softmax_uniform_loss(weight: Tensor, *, chunk_size: int | None = None) -> Tensor:
    r"""Softmax repulsion between the classifier vectors, averaged over classes.

    .. math:: L = -\frac{1}{K} \sum_k \log \frac{e^{u_k^T u_k}}{\sum_j e^{u_k^T u_j}}

    Args:
        weight: Classifier vectors, one a row, of any length (normalised inside).
        chunk_size: As in :func:`sigmoid_uniform_loss`: the same value and gradient in less memory.

    Shape:
        weight (K, D); returns a scalar in float32, or float64 for float64. K = 1 gives 0.

    Raises:
        ValueError: ``weight`` not 2-D or without rows, ``chunk_size`` not positive.
        TypeError: ``weight`` not floating.

    Source:
        BCE3S, eq. 24.

    Example:
        >>> loss = softmax_uniform_loss(torch.tensor([[2.0, 0.0], [-1.0, 0.0]]))
        >>> round(loss.item(), 4)  # softplus(-2)
        0.1269
    """
    return _mean_over_classes(_cross_entropy, weight, chunk_size)


def _mean_over_classes(
    part: Callable[[Tensor, int, int], Tensor], weight: Tensor, chunk_size: int | None
) -> Tensor:
    """``part(rows, start, stop)``, summed over chunks of the unit rows and divided by K."""
    check_shape('weight', weight, 'K+', 'D')
    check_floating('weight', weight)
    check_chunk_size(chunk_size)
    k = len(weight)
    with torch.autocast(weight.device.type, enabled=False):
        rows = unit_rows(upcast(weight))
        if chunk_size is None or chunk_size >= k:
            return part(rows, 0, k) / k
        total = rows.new_zeros(())
        for start in range(0, k, chunk_size):
            stop = min(start + chunk_size, k)
            # Nothing here draws random numbers, so there is no generator state to restore.
            total = total + checkpoint(
                part, rows, start, stop, use_reentrant=False, preserve_rng_state=False
            )
        return total / k


def _repulsion(rows: Tensor, start: int, stop: int) -> Tensor:
    """The sum of eq. 5's negative terms over the anchors ``start <= k < stop``."""
    gram = rows[start:stop] @ rows.T
    # softplus(-inf) is 0 with gradient 0: the self pair leaves the sum.
    gram.diagonal(offset=start).fill_(-torch.inf)
    return softplus(gram).sum()


def _cross_entropy(rows: Tensor, start: int, stop: int) -> Tensor:
    """The sum of eq. 24's terms over the anchors ``start <= k < stop``."""
    anchors = torch.arange(start, stop, device=rows.device)
    return F.cross_entropy(rows[start:stop] @ rows.T, anchors, reduction='sum')
