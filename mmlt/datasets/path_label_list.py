"""Read the community's training lists: one ``path label`` a line."""

import gzip
import io
import re
import zlib
from typing import NamedTuple

from mmengine import fileio

_INTEGER = re.compile(r'-?\d{1,9}', re.ASCII)
_GZIP_MAGIC = b'\x1f\x8b'
# The longest official annotation file, of iNaturalist 2018, has 120 MB.
MAX_BYTES = 2**30


class Entry(NamedTuple):
    """One image of a list: its path as listed, its label, and the line it came from."""

    path: str
    label: int
    line: int


def read_text(path: str) -> str:
    """Return the text of a file, unpacked if it is a gzip file whatever its name.

    Raises:
        ValueError: the file is not UTF-8 text, a damaged gzip file, or more than 1 GiB.
        IsADirectoryError: it is a folder.

    Example:
        >>> read_text('ImageNet_LT_val.txt.gz').count('\\n')  # doctest: +SKIP
        20000
    """
    try:
        content = fileio.get(path)
    except IsADirectoryError:
        raise IsADirectoryError(f'{path} is a folder, expected a file of text or gzip') from None
    try:
        if content.startswith(_GZIP_MAGIC):
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f'more than {MAX_BYTES / 2**30:g} GiB')
        return content.decode('utf-8-sig')
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ValueError(f'{path} is no readable text or gzip file: {error}') from error


def read_path_label_list(path: str, num_classes: int | None = None) -> list[Entry]:
    """Return the entries of a list.

    A path may contain spaces; the label is the last word of the line. Blank lines are skipped;
    lines end with LF, CR LF or CR. Paths lie below the data root, and each is listed once.

    Args:
        path (str): text file, or the same packed by gzip.
        num_classes (int | None): labels must lie in 0..num_classes - 1. None: any label >= 0.

    Raises:
        ValueError: a line without label, a label that is no integer or out of range, a path
            that leads out of the data root or is listed before (with file and line), or an empty
            list.

    Example:
        >>> read_path_label_list('Places_LT_train.txt', 365)[0]  # doctest: +SKIP
        Entry(path='train/airfield/00004851.jpg', label=0, line=1)
    """
    entries = []
    text = read_text(path).replace('\r\n', '\n').replace('\r', '\n')
    # Not splitlines(): it also splits at characters that may stand in a file name.
    for number, line in enumerate(text.split('\n'), start=1):
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
        check_path(entry.path, f'{path}:{number}')
        entries.append(entry)
    if not entries:
        raise ValueError(f'{path} is empty, expected lines "path label"')
    check_listed_once(entries, lambda entry: f'{path}:{entry.line}')
    return entries


def check_path(path: str, where: str) -> None:
    """Raise a ValueError that says where, unless a listed path stays below the data root.

    Example:
        >>> check_path('train/airfield/1.jpg', 'train.txt:7')
    """
    parts = path.replace('\\', '/').split('/')
    if '\0' in path or parts[0] in ('', '~') or parts[0][1:2] == ':' or '..' in parts:
        raise ValueError(
            f'{where}: path {path!r} leads out of the data root, expected one below it, without '
            '"..", a drive or a NUL character'
        )


def check_listed_once(entries: list[Entry], where) -> None:
    """Raise a ValueError if a path is listed twice; two labels of one image teach nothing.

    Example:
        >>> check_listed_once([Entry('a.jpg', 0, 1), Entry('b.jpg', 0, 2)], str)
    """
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(entry.path, entry)
        if other is not entry:
            labels = f', with the labels {other.label} and {entry.label}'
            raise ValueError(
                f'{where(entry)}: {entry.path!r} is listed before, at {where(other)}'
                + (labels if other.label != entry.label else '')
                + '; keep one of them'
            )


def check_label(label: int, num_classes: int | None, where: str) -> None:
    """Raise a ValueError that says where, unless 0 <= label < num_classes.

    Example:
        >>> check_label(3, 10, 'train.txt:7')
    """
    if label < 0 or (num_classes is not None and label >= num_classes):
        limit = 'at least 0' if num_classes is None else f'in 0..{num_classes - 1}'
        classes = '' if num_classes is None else f' (num_classes = {num_classes})'
        raise ValueError(f'{where}: label {label} is out of range, expected {limit}{classes}')
