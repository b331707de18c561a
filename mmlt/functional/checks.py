"""What arguments have to be: each check stands here once, and names the argument that fails it.

Shapes and dtypes are known on the host; the values of a tensor are not, and to look at one waits
for the device. So the losses check shapes and dtypes alone, and what takes labels in a range or
scores in [0, 1] (:func:`check_label_range`, :func:`check_scores`) belongs to the evaluation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Counts = Sequence[int] | Tensor
REDUCTIONS = ('mean', 'sum', 'none')


def check_shape(name: str, value: Tensor, *sizes: int | str, hint: str = '') -> None:
    """Refuse a tensor without these sizes; a letter stands for any size, 'K+' for one >= 1."""
    fits = value.ndim == len(sizes) and all(
        got == size if isinstance(size, int) else got >= size.endswith('+')
        for got, size in zip(value.shape, sizes)
    )
    if not fits:
        letters = [str(size).removesuffix('+') for size in sizes]
        wanted = f'({", ".join(letters)}{"," * (len(sizes) == 1)})'
        for size in sizes:
            wanted += f' with {str(size)[:-1]} >= 1' if str(size).endswith('+') else ''
        raise ValueError(f'{name} must have shape {wanted}, got {tuple(value.shape)}{hint}')


def check_floating(name: str, value: Tensor) -> None:
    """Refuse a tensor of integers or truth values."""
    if not value.is_floating_point():
        raise TypeError(f'{name} must be floating, got {value.dtype}')


def check_bool(name: str, value: Tensor) -> None:
    """Refuse a tensor that is not of truth values: as numbers they would count, not select."""
    if value.dtype != torch.bool:
        raise TypeError(f'{name} must be bool, got {value.dtype}')


def check_labels(name: str, labels: Tensor, size: int | str = 'N', *, hint: str = '') -> None:
    """Refuse what is not one int64 class a sample, (N,); the classes themselves are not looked at.

    Args:
        name: The argument's name.
        labels: What was given for it.
        size: N, if it is known.
        hint: What to add about the wrong shape, such as why soft labels do not fit.
    """
    check_shape(name, labels, size, hint=hint)
    if labels.dtype != torch.int64:
        raise TypeError(f'{name} must be int64 class labels, got {labels.dtype}')


def check_label_range(name: str, labels: Tensor, num_classes: int) -> None:
    """Refuse a class outside [0, K). Waits for the device."""
    if len(labels) and (labels.min() < 0 or labels.max() >= num_classes):
        found = f'[{labels.min().item()}, {labels.max().item()}]'
        raise ValueError(f'{name} must be in [0, {num_classes}), got values in {found}')


def check_target(name: str, target: Tensor, n: int, k: int) -> None:
    """Refuse what is neither class labels (N,) int64 nor soft labels (N, K) floating."""
    if target.shape not in ((n,), (n, k)):
        wanted = f'{(n,)} for class labels or {(n, k)} for soft labels'
        raise ValueError(f'{name} must have shape {wanted}, got {tuple(target.shape)}')
    if target.ndim == 1 and target.dtype != torch.int64:
        raise TypeError(f'{name} of shape (N,) must be int64 class labels, got {target.dtype}')
    if target.ndim == 2 and not target.is_floating_point():
        raise TypeError(f'{name} of shape (N, K) must be floating soft labels, got {target.dtype}')


def check_features(features: Tensor, labels: Tensor, num_classes: int) -> None:
    """Refuse features that are not (N, D), or labels that are not (N,) int64 in [0, K)."""
    check_shape('features', features, 'N', 'D')
    check_labels('labels', labels, len(features))
    check_label_range('labels', labels, num_classes)


def check_scores(name: str, scores: Tensor) -> None:
    """Refuse a score outside [0, 1]. Waits for the device."""
    # Asked this way round, NaN is refused too.
    if not ((scores >= 0) & (scores <= 1)).all():
        found = f'[{scores.min().item():g}, {scores.max().item():g}]'
        raise ValueError(f'{name} must be in [0, 1], got values in {found}')


def check_positive(name: str, value: float) -> None:
    """Refuse a number that is 0, negative, infinite or NaN."""
    if not 0 < value < float('inf'):
        raise ValueError(f'{name} must be positive, got {value}')


def check_not_negative(name: str, value: float) -> None:
    """Refuse a number that is negative, infinite or NaN."""
    if not 0 <= value < float('inf'):
        raise ValueError(f'{name} must be >= 0 and finite, got {value}')


def check_at_least(name: str, value: float, minimum: float) -> None:
    """Refuse a number below the minimum, and NaN."""
    if not value >= minimum:
        raise ValueError(f'{name} must be at least {minimum}, got {value}')


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse what is not one of the choices."""
    if value not in choices:
        raise ValueError(f'{name} must be one of {tuple(choices)}, got {value!r}')


def check_chunk_size(chunk_size: int | None) -> None:
    """Refuse a number of rows that is not a positive integer; None stands for all of them."""
    if chunk_size is None:
        return
    # A bool is an int too.
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        raise ValueError(f'chunk_size must be a positive integer or None, got {chunk_size!r}')


def as_counts(class_counts: Counts, minimum: int) -> Tensor:
    """The class counts (K,) as float64; refuses one below the minimum."""
    counts = torch.as_tensor(class_counts).double()
    check_shape('class_counts', counts, 'K+')
    bad = ~((counts >= minimum) & counts.isfinite())
    if bad.any():
        k = int(bad.nonzero()[0])
        raise ValueError(
            f'class_counts must be at least {minimum} for every class, '
            f'got {counts[k].item():g} for class {k}'
        )
    return counts
