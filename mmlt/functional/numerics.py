"""The few numerical pieces that all losses share."""

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 1e-12
REDUCTIONS = ('mean', 'sum', 'none')


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))`` of any shape, exact to the last digit of float64; torch's stops at 20."""
    # Above 40 the difference to x, exp(-40), is below half a unit in the last place.
    return F.softplus(x, threshold=40.0)


def upcast(x: Tensor) -> Tensor:
    """Half and bfloat16 to float32; float32 and float64 of any shape as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def unit_rows(x: Tensor) -> Tensor:
    """Rows of shape (..., d) divided by their length; one of (nearly) no length stays as it is."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    # F.normalize divides such a row by 1e-12, and so multiplies its gradient by 1e12.
    return x / torch.where(norm > _TINY, norm, 1.0)


def reduce_samples(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Weigh and reduce losses of shape (N,): the 'mean' divides by N, not by the weights' sum.

    Raises:
        ValueError: ``weight`` not of shape (N,).
    """
    if weight is not None:
        if weight.shape != loss.shape:
            got = tuple(weight.shape)
            raise ValueError(f'weight must have shape {tuple(loss.shape)}, got {got}')
        loss = loss * weight.to(loss.dtype)
    if reduction == 'none':
        return loss
    # An empty batch has loss 0, not NaN.
    return loss.sum() if reduction == 'sum' else loss.sum() / max(len(loss), 1)
