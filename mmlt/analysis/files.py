"""What every report is written with: JSON that all readers take, CSV with a line a class."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmlt.files import csv_text, write_whole

FACTS = ('label', 'name', 'train_images', 'shot_group', 'test_images')


def write_json(path: Path, content) -> None:
    """Write JSON that every reader takes: NaN, and what is infinite, is null.

    Args:
        path (Path): the file.
        content: dicts, lists, numbers, text; tensors and arrays become lists.
    """

    def plain(part):
        if hasattr(part, 'tolist'):
            part = part.tolist()
        if isinstance(part, dict):
            return {key: plain(value) for key, value in part.items()}
        if isinstance(part, list | tuple):
            return [plain(value) for value in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    write_whole(path, json.dumps(plain(content), indent=2, allow_nan=False) + '\n')


def write_arrays(path: Path, **arrays) -> None:
    """Write arrays as a compressed ``.npz``, whole or not at all."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write_whole(path, file.getvalue())


def write_per_class(
    path: Path, facts: Sequence[Sequence], columns: Mapping[str, Sequence[float]]
) -> None:
    """Write a line a class: its :data:`FACTS`, then what was measured; NaN is an empty cell."""
    file = io.StringIO(newline='')
    write = csv.writer(file).writerow
    write([*FACTS, *map(csv_text, columns)])
    for k, known in enumerate(facts):
        known = [csv_text(cell) if isinstance(cell, str) else cell for cell in known]
        cells = (values[k] for values in columns.values())
        write([*known, *('' if math.isnan(cell) else f'{cell:.6g}' for cell in cells)])
    write_whole(path, file.getvalue())


def number(value: float | None) -> str:
    """Two digits after the point; a dash for what is not there."""
    return '-' if value is None or math.isnan(value) else f'{value:.2f}'
