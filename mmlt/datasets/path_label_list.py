"""Read the community's training lists: one ``path label`` a line."""

import gzip
import re
from typing import NamedTuple

from mmengine import fileio

_INTEGER = re.compile(r'-?\d+', re.ASCII)
_GZIP_MAGIC = b'\x1f\x8b'


class Entry(NamedTuple):
    """One image of a list: its path as listed, its label, and the line it came from."""

    path: str
    label: int
    line: int


def read_text(path: str) -> str:
    """Return the text of a file, unpacked if it is a gzip file whatever its name.

    Raises:
        ValueError: the file is not UTF-8 text, or a damaged gzip file.

    Example:
        >>> read_text('ImageNet_LT_val.txt.gz').count('\\n')  # doctest: +SKIP
        20000
    """
    content = fileio.get(path)
    try:
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        return content.decode('utf-8-sig')
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is no readable text or gzip file: {error}') from error


def read_path_label_list(path: str, num_classes: int | None = None) -> list[Entry]:
    """Return the entries of a list.

    A path may contain spaces; the label is the last word of the line. Blank lines are skipped,
    with or without a newline at the end of the file.

    Args:
        path (str): text file, or the same packed by gzip.
        num_classes (int | None): labels must lie in 0..num_classes - 1. None: any label >= 0.

    Raises:
        ValueError: a line without label, a label that is no integer or out of range (with file
            and line), or an empty list.

    Example:
        >>> read_path_label_list('Places_LT_train.txt', 365)[0]  # doctest: +SKIP
        Entry(path='train/airfield/00004851.jpg', label=0, line=1)
    """
    entries = []
    # Not splitlines(): it also splits at characters that may stand in a file name.
    for number, line in enumerate(read_text(path).split('\n'), start=1):
        words = line.strip().rsplit(maxsplit=1)
        if not words:
            continue
        if len(words) == 1:
            raise ValueError(
                f'{path}:{number}: expected "path label", got {line.strip()!r}: no label'
            )
        if not _INTEGER.fullmatch(words[1]):
            raise ValueError(
                f'{path}:{number}: expected "path label" with an integer label, '
                f'got {line.strip()!r}: label {words[1]!r}'
            )
        entry = Entry(words[0], int(words[1]), number)
        check_label(entry.label, num_classes, f'{path}:{number}')
        entries.append(entry)
    if not entries:
        raise ValueError(f'{path} is empty, expected lines "path label"')
    return entries


def check_label(label: int, num_classes: int | None, where: str) -> None:
    """Raise a ValueError that says where, unless 0 <= label < num_classes.

    Example:
        >>> check_label(3, 10, 'train.txt:7')
    """
    if label < 0 or (num_classes is not None and label >= num_classes):
        limit = 'at least 0' if num_classes is None else f'in 0..{num_classes - 1}'
        classes = '' if num_classes is None else f' (num_classes = {num_classes})'
        raise ValueError(f'{where}: label {label} is out of range, expected {limit}{classes}')
