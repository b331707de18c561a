"""The few numerical pieces that all losses share."""

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 1e-12


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
