"""What the pictures are given: checked, and as NumPy arrays."""

from collections.abc import Mapping

import numpy as np
import torch


def as_array(values, name: str) -> np.ndarray:
    """Return an array of a tensor, array or (nested) list; None in a list of numbers is NaN.

    Raises:
        TypeError: What makes no array of numbers or truth values.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        array = np.asarray(values)
        if array.dtype == object:
            array = array.astype(np.float64)  # JSON has null for NaN
    except (TypeError, ValueError) as error:
        raise TypeError(f'{name} must be an array of numbers: {error}') from error
    if array.dtype.kind not in 'biuf':
        raise TypeError(f'{name} must be an array of numbers, got {array.dtype}')
    return array


def as_values(
    values, shape: tuple, name: str, low: float = -np.inf, high: float = np.inf
) -> np.ndarray:
    """Return float64 of a shape, None in it being any size; NaN is let through.

    Raises:
        ValueError: Another shape, an infinite value, or one outside [low, high].
    """
    array = as_array(values, name).astype(np.float64, copy=False)
    fits = len(shape) == array.ndim and all(
        wanted in (None, got) for wanted, got in zip(shape, array.shape)
    )
    if not fits:
        wanted = '(' + ', '.join('any' if n is None else str(n) for n in shape) + ')'
        raise ValueError(f'{name} must have shape {wanted}, got {array.shape}')
    if np.isinf(array).any():
        raise ValueError(f'{name} must be finite or NaN, got an infinite value')
    outside = (array < low) | (array > high)
    if outside.any():
        raise ValueError(f'{name} must be in [{low:g}, {high:g}], got {array[outside][0]:g}')
    return array


def as_labels(labels, num_classes: int, name: str = 'labels') -> np.ndarray:
    """Return int64 classes (N,), N >= 1.

    Raises:
        TypeError: Not integers.
        ValueError: Another shape, no samples, or a class outside [0, K).
    """
    array = as_array(labels, name)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f'{name} must have shape (N,) with N >= 1, got {array.shape}')
    if array.dtype.kind not in 'iu':
        raise TypeError(f'{name} must be integer classes, got {array.dtype}')
    if array.min() < 0 or array.max() >= num_classes:
        found = f'[{array.min()}, {array.max()}]'
        raise ValueError(f'{name} must be in [0, {num_classes}), got values in {found}')
    return array.astype(np.int64)


def as_models(values, name: str) -> dict:
    """Return {model: what belongs to it}; without names there is one model, called ''.

    Raises:
        ValueError: An empty mapping.
    """
    models = dict(values) if isinstance(values, Mapping) else {'': values}
    if not models:
        raise ValueError(f'{name} must have at least one model, got none')
    return models
