"""The few numerical pieces that losses and measures share."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlt.functional.checks import check_shape
from mmlt.functional.closed_form import Gradients, Kept, closed_form
from mmlt.functional.moved import forward

TINY = 1e-12  # a row that is no longer has no direction
__getattr__ = forward(__name__, {'REDUCTIONS': 'mmlt.functional.checks'})


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))`` of any shape, exact to the last digit of float64; torch's stops at 20."""
    # Above 40 the difference to x, exp(-40), is below half a unit in the last place.
    return F.softplus(x, threshold=40.0)


def upcast(x: Tensor) -> Tensor:
    """Half and bfloat16 to float32; float32 and float64 of any shape as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def unit_rows(x: Tensor) -> Tensor:
    """Rows of shape (..., d) divided by their length; one of (nearly) no length stays as it is."""
    return _unit_rows(x)


def row_lengths(x: Tensor) -> Tensor:
    """Length (..., 1) of each row of x (..., d); 1 for one of (nearly) no length. No gradient."""
    return F.threshold(torch.linalg.vector_norm(x.detach(), dim=-1, keepdim=True), TINY, 1.0)


def _divided_by_length(x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    # F.normalize divides such a row by 1e-12, and so multiplies its gradient by 1e12.
    return x / torch.where(norm > TINY, norm, 1.0)


def _divided_forward(x: Tensor) -> tuple[Tensor, Kept]:
    lengths = row_lengths(x)
    return x / lengths, (lengths,)


def _divided_backward(
    grad: Tensor, needs: Any, tensors: Any, value: Tensor, kept: Any
) -> Gradients:
    along = torch.linalg.vecdot(grad, value).unsqueeze(-1)
    return (torch.addcmul(grad, value, along, value=-1).div_(kept[0]),)


_unit_rows = closed_form(_divided_by_length, _divided_forward, _divided_backward)


def unit_difference(x: Tensor, center: Tensor) -> Tensor:
    """Unit rows of ``x - center``; 0 where only rounding is left of the difference."""
    rows = x - center
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    # Asked this way round, NaN stays NaN.
    return unit_rows(rows.masked_fill(length <= 1e-12 * size, 0.0))


def percent(mean_cosine: Tensor) -> Tensor:
    """``(1 + cos) / 2`` in percent, for any shape."""
    return 50 * (1 + mean_cosine)


def reduce_samples(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Weigh and reduce losses of shape (N,): the 'mean' divides by N, not by the weights' sum.

    Raises:
        ValueError: ``weight`` not of shape (N,).
    """
    if weight is not None:
        check_shape('weight', weight, len(loss))
        loss = loss * weight.to(loss.dtype)
    if reduction == 'none':
        return loss
    # An empty batch has loss 0, not NaN.
    return loss.sum() if reduction == 'sum' or len(loss) == 0 else loss.mean()
