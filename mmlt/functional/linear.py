r"""Products with unit rows, without making the unit rows.

A classifier on the sphere compares features with ``u_k = w_k / |w_k|``. Divided are not the K rows
of length D but the N x K products, and the gradient needs only the products again::

    s_ik = <x_i, w_k> / |w_k|,    dL/dw_k = (sum_i g_ik x_i - u_k sum_i g_ik s_ik) / |w_k|

So a step holds what a plain linear layer holds, and passes over the K x D weights as often.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlt.functional.checks import check_floating, check_shape
from mmlt.functional.closed_form import Gradients, Kept, closed_form, is_traced
from mmlt.functional.numerics import row_lengths, unit_rows


def unit_linear(
    features: Tensor, weight: Tensor, bias: Tensor | None = None, *, unit_features: bool = False
) -> Tensor:
    r"""Product of features with the unit rows of a weight.

    .. math::
        s_{ik} = \left\langle x_i, \frac{w_k}{\|w_k\|} \right\rangle + b_k, \quad
        \text{or } \left\langle \frac{x_i}{\|x_i\|}, \frac{w_k}{\|w_k\|} \right\rangle + b_k

    A row, or a feature, of (nearly) no length stays as it is.

    Args:
        features: x, any real numbers.
        weight: Rows w_k, of the dtype of ``features``.
        bias: b.
        unit_features: Whether the features have unit length too: s is the cosine.

    Shape:
        features (..., D), weight (K, D), bias (K,); returns (..., K).

    Raises:
        ValueError: Shapes that do not fit.
        TypeError: An argument is not floating.

    Source:
        BCE3S, eq. 3 and appendix F; DBM, eq. 2.

    Example:
        >>> unit_linear(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0], [5.0, 0.0]]))
        tensor([[4., 3.]])
        >>> unit_linear(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]]), unit_features=True)
        tensor([[0.8000]])
    """
    check_floating('features', features)
    check_floating('weight', weight)
    if not is_traced():  # where sizes are no numbers
        check_shape('weight', weight, 'K', features.shape[-1])
        if bias is not None:
            check_shape('bias', bias, len(weight))
    # Half rows are scaled first: their products could pass what half precision can hold.
    large = weight.dtype in (torch.float32, torch.float64)
    if features.dim() == 2 and large and not torch.is_autocast_enabled(features.device.type):
        return _products(features, weight, bias, unit_features=unit_features)
    return _definition(features, weight, bias, unit_features)


def _definition(
    features: Tensor, weight: Tensor, bias: Tensor | None, unit_features: bool
) -> Tensor:
    return F.linear(unit_rows(features) if unit_features else features, unit_rows(weight), bias)


def _forward(
    features: Tensor, weight: Tensor, bias: Tensor | None, unit_features: bool
) -> tuple[Tensor, Kept]:
    lengths = row_lengths(weight).squeeze(1)
    sizes = row_lengths(features) if unit_features else None
    inputs = features if sizes is None else features / sizes
    products = inputs @ weight.T
    products = products.div_(lengths) if bias is None else torch.addcdiv(bias, products, lengths)
    return products, (inputs, lengths, sizes)


def _backward(
    grad: Tensor, needs: Any, tensors: Any, value: Tensor, kept: Any, unit_features: bool
) -> Gradients:
    _, weight, bias = tensors
    inputs, lengths, sizes = kept
    grad_features: Tensor | None = None
    grad_weight: Tensor | None = None
    grad_bias: Tensor | None = None
    scaled = grad / lengths
    # <u_k, sum_i g_ik x_i> and <x_i, sum_k g_ik u_k> are sums of one product.
    radial = grad * value if needs[1] or unit_features else grad
    if bias is not None:
        grad_bias = grad.sum(0)
    if needs[1]:
        along = radial.sum(0)
        if grad_bias is not None:
            along.addcmul_(bias, grad_bias, value=-1)
        along = along.div_(lengths).div_(lengths).unsqueeze(1)
        grad_weight = (scaled.T @ inputs).addcmul_(weight, along, value=-1)
    if needs[0]:
        grad_features = scaled @ weight
        if unit_features:
            if bias is not None:
                radial = torch.addcmul(radial, grad, bias, value=-1)
            along = radial.sum(1, keepdim=True)
            grad_features.addcmul_(inputs, along, value=-1).div_(sizes)
    return grad_features, grad_weight, grad_bias


_products = closed_form(_definition, _forward, _backward)
