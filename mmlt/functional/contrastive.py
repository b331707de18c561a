"""Sample against sample: cosine similarity to one remembered projection a class.

The bank (K, d) holds the raw projection of the last seen sample of each class. Reading it gives a
similarity matrix (N, K) for the pair losses; writing it is a pure in-place update.
"""

import torch
from torch import Tensor

from mmlt.functional.numerics import unit_rows, upcast


def bank_similarity(projections: Tensor, bank: Tensor, temperature: float) -> Tensor:
    r"""Cosine of each projection with each remembered one, over the temperature.

    .. math:: s_{ik} = \frac{1}{\tau} \cos(z_i, z_*^{(k)})

    Args:
        projections: Projected features, of any length (normalised inside).
        bank: One remembered projection a class, of any length (normalised inside).
        temperature: tau, > 0.

    Shape:
        projections (N, d), bank (K, d); returns (N, K) in float32, or float64 if either is.
        A zero row has similarity 0 with everything, and a bounded gradient.

    Raises:
        ValueError: Shapes that do not fit, or a temperature that is not positive.

    Source:
        BCE3S, eqs. 2 and 4 (tau = 1 in the released code).

    Example:
        >>> bank = torch.tensor([[3.0, 0.0], [0.0, 5.0]])
        >>> bank_similarity(torch.tensor([[0.0, 2.0]]), bank, temperature=0.5)
        tensor([[0., 2.]])
    """
    if not temperature > 0:
        raise ValueError(f'temperature must be positive, got {temperature}')
    if projections.ndim != 2:
        raise ValueError(f'projections must have shape (N, d), got {tuple(projections.shape)}')
    if bank.ndim != 2 or bank.shape[1] != projections.shape[1]:
        wanted = f'(K, {projections.shape[1]})'
        raise ValueError(f'bank must have shape {wanted}, got {tuple(bank.shape)}')
    projections, bank = upcast(projections), upcast(bank)
    dtype = torch.promote_types(projections.dtype, bank.dtype)
    # Autocast would round the cosines to half precision, then multiply the error by 1 / tau.
    with torch.autocast(projections.device.type, enabled=False):
        return unit_rows(projections.to(dtype)) @ unit_rows(bank.to(dtype)).T / temperature


@torch.no_grad()
def write_bank(bank: Tensor, filled: Tensor, projections: Tensor, labels: Tensor) -> None:
    """Remember the last projection of every class in the batch, in place.

    ``bank[k] = projections[max{i : labels[i] = k}]``, and ``filled[k] = True``, for each class k
    in the batch; the other rows stay. The same on every device: no race between duplicates.

    Args:
        bank: The bank to write; projections are cast to its dtype, not normalised.
        filled: Which rows have ever been written.
        projections: Projected features of the batch.
        labels: Class labels in [0, K); a label below 0 is padding and writes nothing.

    Shape:
        bank (K, d), filled (K,) bool, projections (N, d), labels (N,) int64.

    Raises:
        ValueError: Shapes that do not fit.
        TypeError: ``filled`` not bool, or ``labels`` not int64.

    Source:
        BCE3S, appendix D ("updated by the last feature"). The released code does this in a Python
        loop over samples, into uninitialised memory.

    Example:
        >>> bank, filled = torch.zeros(3, 1), torch.zeros(3, dtype=torch.bool)
        >>> write_bank(bank, filled, torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 0, 2]))
        >>> bank.flatten(), filled
        (tensor([2., 0., 3.]), tensor([ True, False,  True]))
    """
    _check_write(bank, filled, projections, labels)
    if len(labels) == 0:
        return
    position = torch.arange(len(labels), device=labels.device)
    position = torch.where(labels >= 0, position, -1)
    last = torch.full((len(bank),), -1, device=labels.device)
    last = last.scatter_reduce(0, labels.clamp(min=0), position, 'amax')
    written = last >= 0
    rows = projections[last.clamp(min=0)].to(bank.dtype)
    bank.copy_(torch.where(written.unsqueeze(1), rows, bank))
    filled.logical_or_(written)


def _check_write(bank: Tensor, filled: Tensor, projections: Tensor, labels: Tensor) -> None:
    if bank.ndim != 2:
        raise ValueError(f'bank must have shape (K, d), got {tuple(bank.shape)}')
    k, d = bank.shape
    if filled.shape != (k,):
        raise ValueError(f'filled must have shape {(k,)}, got {tuple(filled.shape)}')
    if filled.dtype != torch.bool:
        raise TypeError(f'filled must be bool, got {filled.dtype}')
    if labels.ndim != 1:
        raise ValueError(f'labels must have shape (N,), got {tuple(labels.shape)}')
    if labels.dtype != torch.int64:
        raise TypeError(f'labels must be int64, got {labels.dtype}')
    if projections.shape != (len(labels), d):
        got = tuple(projections.shape)
        raise ValueError(f'projections must have shape {(len(labels), d)}, got {got}')
