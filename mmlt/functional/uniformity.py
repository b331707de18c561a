"""Class against class: push the classifier vectors apart, towards a simplex ETF.

Both losses read the Gram matrix of the normalised rows, ``g = u u^T`` with ``u_k = w_k / |w_k|``.
No labels enter, so every class is pushed as hard as every other, however rare it is.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmlt.functional.checks import check_chunk_size, check_floating, check_shape
from mmlt.functional.closed_form import Gradients, Kept, closed_form
from mmlt.functional.numerics import row_lengths, softplus, unit_rows, upcast

_ROWS = 1024  # of the Gram matrix at a time: on a CPU larger blocks are no faster


def sigmoid_uniform_loss(
    weight: Tensor,
    *,
    include_self: bool = False,
    chunk_size: int | None = None,
    sample_size: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Sigmoid repulsion between the classifier vectors, averaged over classes.

    .. math:: L = \frac{1}{K} \sum_k \sum_{j \ne k} \log(1 + e^{u_k^T u_j})

    Args:
        weight: Classifier vectors, one a row, of any length (normalised inside).
        include_self: Add the constant positive term log(1 + 1/e) of eq. 5.
        chunk_size: Work through this many rows of the Gram matrix at a time: memory
            O(chunk_size * (K + D)), same value and gradient. By default 1024.
        sample_size: Take this many rows, drawn at random, and the pairs among them for all pairs:
            an unbiased estimate of loss and gradient at the cost of so many classes. For 2 and
            more; by default all rows.
        generator: Source of the draw, on the device of ``weight``.

    Shape:
        weight (K, D); returns a scalar in float32, or float64 for float64. K = 1 gives 0.

    Raises:
        ValueError: ``weight`` not 2-D or without rows, ``chunk_size`` or ``sample_size`` too small.
        TypeError: ``weight`` not floating.

    Source:
        BCE3S, eq. 5. The self pair is "omitted in our experiments" in the paper and included in
        the released code, where it only shifts the logged loss. Eq. 8's sketch of the gradient
        counts each pair once and leaves out the normalisation; here it is the true one. Drawing
        rows is an addition.

    Example:
        >>> loss = sigmoid_uniform_loss(torch.tensor([[2.0, 0.0], [-1.0, 0.0]]))
        >>> round(loss.item(), 4)  # softplus(-1)
        0.3133
    """
    _check(weight, chunk_size)
    if sample_size is not None and sample_size < 2:
        raise ValueError(f'sample_size must be >= 2, got {sample_size}')
    self_term = math.log1p(math.exp(-1)) if include_self else 0.0
    classes, scale = len(weight), 1.0
    if sample_size is not None and sample_size < classes:
        rows = torch.randperm(classes, generator=generator, device=weight.device)[:sample_size]
        # The mean over classes is over K, and a pair is drawn this often.
        scale = (classes - 1) / (sample_size - 1)
        weight = weight.index_select(0, rows)
    with torch.autocast(weight.device.type, enabled=False):
        loss = _sigmoid_uniform(upcast(weight), chunk_size=chunk_size or _ROWS)
    return loss * scale + self_term if scale != 1 or include_self else loss


def softmax_uniform_loss(weight: Tensor, *, chunk_size: int | None = None) -> Tensor:
    r"""Softmax repulsion between the classifier vectors, averaged over classes.

    .. math:: L = -\frac{1}{K} \sum_k \log \frac{e^{u_k^T u_k}}{\sum_j e^{u_k^T u_j}}

    Args:
        weight: Classifier vectors, one a row, of any length (normalised inside).
        chunk_size: Work through this many rows of the Gram matrix at a time and recompute them in
            the backward pass: memory O(chunk_size * K) instead of O(K^2), same value and gradient.

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
    _check(weight, chunk_size)
    with torch.autocast(weight.device.type, enabled=False):
        weight = upcast(weight)
        return _mean_over_classes(_cross_entropy, weight, chunk_size or len(weight))


def _mean_over_classes(
    part: Callable[[Tensor, int, int], Tensor], weight: Tensor, chunk_size: int
) -> Tensor:
    """``part(rows, start, stop)``, summed over chunks of the unit rows and divided by K."""
    rows = unit_rows(weight)
    k = len(rows)
    if chunk_size >= k:
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


def _sigmoid_uniform_forward(weight: Tensor, chunk_size: int) -> tuple[Tensor, Kept]:
    """The gradient is taken on the way, while a block of the Gram matrix is at hand.

    The matrix is symmetric: the block right of the diagonal stands for the one below it.
    """
    lengths = row_lengths(weight)
    rows = weight / lengths
    k = len(rows)
    push = torch.empty(0) if chunk_size >= k else torch.zeros_like(rows)
    total = rows.new_zeros(())
    for start in range(0, k, chunk_size):
        stop = min(start + chunk_size, k)
        gram = rows[start:stop] @ rows[start:].T
        gram.diagonal().fill_(-torch.inf)
        size = stop - start
        value = softplus(gram)
        value = value[:, :size].sum() + 2 * value[:, size:].sum() if stop < k else value.sum()
        total += value
        slope = gram.sigmoid_()
        if chunk_size >= k:
            push = slope @ rows
        else:
            push[start:stop].addmm_(slope, rows[start:])
            push[stop:].addmm_(slope[:, size:].T, rows[start:stop])
    # d rows / d weight takes off what is along the row.
    along = torch.linalg.vecdot(push, rows).unsqueeze(1)
    gradient = push.addcmul_(rows, along, value=-1).div_(lengths)
    return total / k, (gradient,)


def _sigmoid_uniform_backward(
    grad: Tensor, needs: Any, tensors: Any, value: Tensor, kept: Any, chunk_size: int
) -> Gradients:
    return (kept[0] * (grad * (2 / len(kept[0]))),)


_sigmoid_uniform = closed_form(
    partial(_mean_over_classes, _repulsion), _sigmoid_uniform_forward, _sigmoid_uniform_backward
)


def _check(weight: Tensor, chunk_size: int | None) -> None:
    check_shape('weight', weight, 'K+', 'D')
    check_floating('weight', weight)
    check_chunk_size(chunk_size)
