"""Gradients by hand, where autograd would copy large matrices several times.

A loss is written down twice: as its definition, which is what gets exported, traced, and
differentiated twice, and as a value and a gradient that pass over the matrix once. Tests compare
the two; nobody else needs to know which one has run.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Definition = Callable[..., Tensor]
Kept = tuple[Tensor | None, ...]
Gradients = Sequence[Tensor | None]


def closed_form(
    plain: Definition,
    forward: Callable[..., tuple[Tensor, Kept]],
    backward: Callable[..., Gradients],
) -> Definition:
    """``plain(*tensors, **options)`` with a gradient of its own.

    Args:
        plain: The definition. Tensors may be None.
        forward: ``forward(*tensors, **options)`` gives the value and a tuple of tensors to keep.
        backward: ``backward(grad, needs, tensors, value, kept, **options)`` gives a gradient, or
            None, for each of the tensors; ``needs`` tells of which it is wanted.

    Returns:
        A function that is called as ``plain`` is.

    Example:
        >>> square = closed_form(
        ...     lambda x: x * x,
        ...     lambda x: (x * x, ()),
        ...     lambda grad, needs, tensors, value, kept: [2 * grad * tensors[0]],
        ... )
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> torch.autograd.grad(square(x), x)
        (tensor(6.),)
    """

    class ClosedForm(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, options: dict[str, Any], *tensors: Tensor | None) -> Tensor:
            value, kept = forward(*tensors, **options)
            ctx.save_for_backward(*tensors, value, *kept)
            ctx.options, ctx.number = options, len(tensors)
            return value

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
            number, saved = ctx.number, ctx.saved_tensors
            tensors, value, kept = saved[:number], saved[number], saved[number + 1 :]
            needs = ctx.needs_input_grad[1:]
            if torch.is_grad_enabled():
                found: Gradients = _differentiable(plain, grad, needs, tensors, ctx.options)
            else:
                found = backward(grad, needs, tensors, value, kept, **ctx.options)
            return None, *found

    def call(*tensors: Tensor | None, **options: Any) -> Tensor:
        if is_traced() or not torch.is_grad_enabled():
            return plain(*tensors, **options)
        value: Tensor = ClosedForm.apply(options, *tensors)
        return value

    return call


def is_traced() -> bool:
    """Whether what runs is being written down, for an export or a compiler."""
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
    return bool(torch.compiler.is_compiling() or tracing)


def _differentiable(
    plain: Definition,
    grad: Tensor,
    needs: Sequence[bool],
    tensors: Sequence[Tensor | None],
    options: dict[str, Any],
) -> list[Tensor | None]:
    """The gradients as something that can be differentiated in turn."""
    with torch.enable_grad():
        wanted = [x for x, need in zip(tensors, needs, strict=True) if need and x is not None]
        value = plain(*tensors, **options)
        found = iter(torch.autograd.grad(value, wanted, grad, create_graph=True))
    return [next(found) if need else None for need in needs]
