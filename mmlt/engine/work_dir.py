"""Which checkpoints of a work dir there are, which one to go on from, and which are leftovers."""

import os
import re
import string
from pathlib import Path

from mmlt import checkpoint

INTERRUPTED = 'interrupted_'
_DEFAULTS = (r'epoch_\d+\.pth', r'iter_\d+\.pth')
_INTERRUPTED = rf'{INTERRUPTED}(epoch_\d+_)?iter_\d+\.pth'


def looks_like_ours(name: str, template: str = 'epoch_{}.pth') -> bool:
    """Whether a file's name is one that a checkpoint hook gives.

    Example:
        >>> [looks_like_ours(name) for name in ('best_a_epoch_2.pth', '../epoch_2.pth', 'notes')]
        [True, False, False]
    """
    return bool(re.fullmatch(rf'(best_[^/]+_)?{pattern_of(template)}|{_INTERRUPTED}', name))


def pattern_of(template: str) -> str:
    """The regular expression of the names that a template such as 'epoch_{:03d}.pth' makes.

    Its one group is the number.

    Example:
        >>> re.fullmatch(pattern_of('epoch_{:03d}.pth'), 'epoch_007.pth')[1]
        '007'
    """
    parts = [re.escape(text) + (r'(\d+)' if field is not None else '')
             for text, field, *_ in string.Formatter().parse(template)]  # fmt: skip
    return ''.join(parts)


def find_resumable(work_dir) -> tuple[str | None, list[str]]:
    """The newest checkpoint of a work dir that can be resumed, and what was skipped, and why.

    Names are looked up in the folder itself first, so that a copied or moved work dir is one of
    its own. ``last_checkpoint`` says which is the newest; if it is gone or unreadable, the numbers
    in the names do.

    Args:
        work_dir (str | PathLike): folder of a run.

    Returns:
        tuple: path (None if the folder has no checkpoint), lines about what was skipped.

    Raises:
        CheckpointError: there are checkpoints, and none of them loads.

    Example:
        >>> find_resumable('work_dirs/nowhere')
        (None, [])
    """
    folder = Path(os.path.normpath(work_dir))
    paths, skipped = _candidates(folder)
    for path in paths:
        try:
            found = checkpoint.load(path, map_location='cpu')
            if not isinstance(found, dict) or not isinstance(found.get('meta'), dict):
                raise checkpoint.CheckpointError(f'{path} has no meta')
            return str(path), skipped
        except (checkpoint.CheckpointError, OSError) as error:
            skipped.append(f'skipped {error}')
    if paths:
        raise checkpoint.CheckpointError(
            f'no checkpoint of {folder} can be resumed: ' + '; '.join(skipped)
        )
    return None, skipped


def _candidates(folder: Path) -> tuple[list[Path], list[str]]:
    """Checkpoints, the newest first, and what was found out on the way."""
    notes, last = [], _read_last(folder)
    names, root = _DEFAULTS, folder
    if last is not None and '/' not in last.name:
        here = folder / last.name
        if not here.is_file() and last.is_file():
            root = last.parent  # the checkpoint hook has an out_dir
        names = (*_DEFAULTS, re.sub(r'\d+', lambda _: r'\d+', re.escape(last.name)))
    found = [
        path
        for path in (root.iterdir() if root.is_dir() else ())
        if path.is_file() and any(re.fullmatch(p, path.name) for p in (*names, _INTERRUPTED))
    ]
    found.sort(key=_number, reverse=True)
    if last is None:
        if found:
            notes.append(f'{folder}/last_checkpoint is missing or unreadable: by the names')
        return found, notes
    # What has a higher number is of an older, longer run in the same folder.
    return [path for path in found if _number(path) <= _number(last)], notes


def _read_last(folder: Path) -> Path | None:
    try:
        text = (folder / 'last_checkpoint').read_text(encoding='utf-8').strip()
    except (OSError, UnicodeDecodeError):
        return None
    known = text and '\0' not in text and '\n' not in text and re.search(r'\d', Path(text).name)
    return Path(text) if known else None


def _number(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r'\d+', path.name)]
