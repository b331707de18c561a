"""A memory of one projection a class: how alike a sample is to each, and what is remembered.

The bank (K, d) holds the raw projection of the last seen sample of each class. Reading it gives a
similarity matrix (N, K) for the losses of :mod:`mmlt.functional.pairs`. Writing it touches the rows
of the classes in the batch alone, O(N d), and never waits for the device.
"""

import torch
from torch import Tensor

from mmlt.functional.checks import check_labels, check_positive, check_shape
from mmlt.functional.linear import unit_linear
from mmlt.functional.numerics import upcast


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
    check_positive('temperature', temperature)
    check_shape('projections', projections, 'N', 'd')
    check_shape('bank', bank, 'K', projections.shape[1])
    projections, bank = upcast(projections), upcast(bank)
    dtype = torch.promote_types(projections.dtype, bank.dtype)
    # Autocast would round the cosines to half precision, then multiply the error by 1 / tau.
    with torch.autocast(projections.device.type, enabled=False):
        # A copy: the bank is written, in place, before the gradient is taken.
        bank = bank.to(dtype, copy=True)
        cosine = unit_linear(projections.to(dtype), bank, unit_features=True)
        return cosine if temperature == 1 else cosine / temperature


@torch.no_grad()
def write_bank(bank: Tensor, seen: Tensor, projections: Tensor, labels: Tensor) -> None:
    r"""Remember the last projection of every class in the batch and count its samples, in place.

    .. math:: z_*^{(k)} \leftarrow z_{\max \{i : y_i = k\}}, \quad
              n_k \leftarrow n_k + |\{i : y_i = k\}|

    for each class k in the batch; the other rows stay. The same on every device: samples of one
    class all write the same row, so no race between them can be seen.

    Args:
        bank: The bank to write; projections are cast to its dtype, not normalised.
        seen: How many samples of each class have been written; a row with 0 means nothing yet.
        projections: Projected features of the batch.
        labels: Class labels in [0, K); a label below 0 is padding, writes nothing and is not
            counted.

    Shape:
        bank (K, d), seen (K,) integer or floating, projections (N, d), labels (N,) int64.

    Raises:
        ValueError: Shapes that do not fit.
        TypeError: ``seen`` bool, which cannot count, or ``labels`` not int64.

    Source:
        BCE3S, appendix D ("updated by the last feature"). The released code does this in a Python
        loop over samples, into uninitialised memory.

    Example:
        >>> bank, seen = torch.zeros(3, 1), torch.zeros(3)
        >>> write_bank(bank, seen, torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 0, 2]))
        >>> bank.flatten(), seen
        (tensor([2., 0., 3.]), tensor([1., 0., 2.]))
    """
    check_shape('bank', bank, 'K', 'd')
    check_shape('seen', seen, len(bank))
    if seen.dtype == torch.bool:
        raise TypeError('seen must count the samples of each class, got torch.bool')
    check_labels('labels', labels)
    check_shape('projections', projections, len(labels), bank.shape[1])
    if len(labels) == 0:
        return
    counted = labels >= 0
    position = torch.arange(len(labels), device=labels.device)
    # Padding stands in for class 0: it writes what that class is to have anyhow.
    classes = labels.clamp(min=0)
    last = torch.full((len(bank),), -1, device=labels.device)
    last.scatter_reduce_(0, classes, torch.where(counted, position, -1), 'amax')
    winner = last.gather(0, classes)
    # Indexing by brackets gives the same and takes three times as long.
    rows = projections.index_select(0, winner.clamp(min=0)).to(bank.dtype)
    rows = torch.where((winner >= 0).unsqueeze(1), rows, bank.index_select(0, classes))
    bank.index_copy_(0, classes, rows)
    seen.scatter_add_(0, classes, counted.to(seen.dtype))
