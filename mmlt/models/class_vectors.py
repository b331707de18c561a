"""A file of class vectors (K, D) that a head begins from: its format, written and read."""

import io
import os
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from mmlt import checkpoint
from mmlt.files import write_whole

KEYS = ('class_vectors', 'names', 'meta')


class ClassVectors(NamedTuple):
    """What a file holds."""

    vectors: torch.Tensor  # (K, D) float32, rows of unit length
    names: tuple[str, ...] | None  # of the classes, in label order; None if nobody told them
    meta: dict  # what they were made from


def save_class_vectors(path, vectors: torch.Tensor, names: Sequence[str] | None, meta: dict):
    r"""Write class vectors, each brought to unit length: :math:`w_k / \|w_k\|`.

    The file is whole or absent, and holds tensors, text and numbers alone.

    Args:
        path (str | PathLike): file to write, ``.pth``.
        vectors (torch.Tensor): any real type; the lengths are taken in float64.
        names (Sequence[str], optional): class names in label order.
        meta (dict): what they were made from: text and numbers.

    Shape:
        vectors (K, D).

    Raises:
        ValueError: vectors of another shape, not finite, or zero; another number of names.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_class_vectors(f'{folder}/a.pth', torch.eye(2) * 3, ['ant', 'bee'], {})
        ...     load_class_vectors(f'{folder}/a.pth').vectors
        tensor([[1., 0.],
                [0., 1.]])
    """
    _check(vectors, names, meta, os.fspath(path))
    rows = F.normalize(vectors.detach().cpu().double(), dim=1, eps=0.0).float()
    names = None if names is None else list(names)
    buffer = io.BytesIO()
    torch.save(dict(class_vectors=rows, names=names, meta=dict(meta)), buffer)
    write_whole(path, buffer.getvalue())


def load_class_vectors(path) -> ClassVectors:
    """Read a file of class vectors; it is loaded as safely as a checkpoint.

    Args:
        path (str | PathLike): the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, rows that are not finite, zero or not of unit length.

    Example:
        >>> load_class_vectors('cifar100_clip.pth').vectors.shape  # doctest: +SKIP
        torch.Size([100, 768])
    """
    path = os.path.expanduser(os.fspath(path))
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'class vectors {path} do not exist or are no file; tools/class_vectors.py writes them'
        )
    found = checkpoint.load(path, map_location='cpu')
    if not isinstance(found, dict) or not set(KEYS) <= set(found):
        held = ', '.join(map(str, list(found)[:5])) if isinstance(found, dict) else ''
        raise ValueError(
            f'{path} holds no class vectors: expected {", ".join(KEYS)}, got '
            f'{held or type(found).__name__}; tools/class_vectors.py writes such files'
        )
    vectors, names, meta = (found[key] for key in KEYS)
    _check(vectors, names, meta, path)
    lengths = vectors.double().norm(dim=1)
    if (lengths - 1).abs().max() > 1e-5:
        k = int((lengths - 1).abs().argmax())
        raise ValueError(f'{path}: row {k} has length {lengths[k]:.4g}, expected 1')
    return ClassVectors(vectors.float(), None if names is None else tuple(names), meta)


def plain_name(name: str) -> str:
    """A class name as it is compared: case, underscores and runs of spaces do not count.

    Example:
        >>> plain_name('Sea_lion') == plain_name('sea  lion')
        True
    """
    return ' '.join(str(name).replace('_', ' ').casefold().split())


def _check(vectors, names, meta, path: str) -> None:
    if not isinstance(vectors, torch.Tensor) or vectors.ndim != 2 or not vectors.numel():
        got = tuple(vectors.shape) if isinstance(vectors, torch.Tensor) else type(vectors).__name__
        raise ValueError(f'{path}: class vectors must be (K, D), got {got}')
    if not vectors.is_floating_point():
        raise ValueError(f'{path}: class vectors must be real numbers, got {vectors.dtype}')
    rows = vectors.detach().double()
    for fault, what in (
        (~rows.isfinite().all(dim=1), 'is not finite'),
        (rows.norm(dim=1) == 0, 'is zero'),
    ):
        if fault.any():
            k = int(fault.nonzero()[0])
            name = '' if names is None or k >= len(names) else f' ({names[k]!r})'
            raise ValueError(f'{path}: row {k}{name} of the class vectors {what}')
    if names is not None:
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise ValueError(f'{path}: names must be a list of text or None')
        if len(names) != len(vectors):
            raise ValueError(f'{path}: {len(vectors)} class vectors, but {len(names)} names')
    if not isinstance(meta, dict):
        raise ValueError(f'{path}: meta must be a dict, got {type(meta).__name__}')
