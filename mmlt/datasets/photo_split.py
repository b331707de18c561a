"""A folder with one folder a class, split into training, validation and test images."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmlt.datasets.image_check import MAX_PIXELS, READ, UNREAD, file_fault, is_photo
from mmlt.files import write_whole
from mmlt.functional import validation_counts

PARTS = ('train', 'val', 'test')
_SPLIT_NAMES = {'train', 'val', 'valid', 'validation', 'test', 'training', 'testing'}


@dataclass
class PhotoSplit:
    """Which image goes where.

    Args:
        source (Path): the folder of class folders.
        files (dict): part -> class -> paths below ``source``, sorted.
        skipped (list): (path below ``source``, reason).
        notes (list): lines that a person should read.
    """

    source: Path
    files: dict[str, dict[str, list[str]]]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """The names in label order."""
        return list(self.files['train'])

    def counts(self, part: str) -> list[int]:
        """Images of every class in a part."""
        return [len(paths) for paths in self.files[part].values()]


def plan_split(
    source: Path,
    test_per_class: int,
    val_fraction: float = 0.0,
    check_images: bool = False,
    min_images: int | None = None,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PhotoSplit:
    """Decide where every image goes; nothing is written.

    The order of a class's images is that of a hash of seed and path, so it does not depend on the
    machine, and images that come later do not move those that are there. The first
    ``test_per_class`` are tested, but never more than half of a class; of the others
    ``val_fraction`` is for validation, and at least one image trains.

    Args:
        source (Path): folder with one folder a class; images may lie deeper.
        test_per_class (int): test images of every class, >= 1.
        val_fraction (float): part of the remaining images for validation, in [0, 1).
        check_images (bool): read every image once; what is damaged, and what is there twice, is
            left out and listed.
        min_images (int, optional): leave out classes with fewer images; without it a class with
            fewer than 2 is an error.
        seed (int): another seed is another split.
        max_pixels (int): images with more are left out as bombs.
        progress (Callable): called with images done and their number.

    Returns:
        PhotoSplit: the plan.

    Raises:
        ValueError: an argument out of range, a folder that is split already or has no classes,
            names that differ in case alone, a class that is too small.
        NotADirectoryError: ``source`` is no folder.

    Example:
        >>> plan_split(Path('photos'), test_per_class=12)  # doctest: +SKIP
    """
    if test_per_class < 1:
        raise ValueError(f'test_per_class must be at least 1, got {test_per_class}')
    if not 0 <= val_fraction < 1:
        raise ValueError(f'val_fraction must be in [0, 1), got {val_fraction}')
    found, skipped, notes = _find(source)
    if check_images:
        found = _check(source, found, skipped, max_pixels, progress)
    else:
        found = _drop_empty(source, found, skipped)
    found = _drop_small(found, min_images, notes)
    names = list(found)
    tested = [min(test_per_class, len(found[name]) // 2) for name in names]
    short = [name for name, number in zip(names, tested) if number < test_per_class]
    if short:
        notes.append(
            f'{len(short)} classes have fewer than {test_per_class} test images, as no more than '
            f'half of a class is tested: {_some(short)}'
        )
    left = [len(found[name]) - number for name, number in zip(names, tested)]
    held = validation_counts(left, val_fraction) if val_fraction else [0] * len(names)
    files = {part: {} for part in PARTS}
    for name, test, val in zip(names, tested, held):
        order = sorted(found[name], key=lambda path: _rank(path, seed))
        files['test'][name] = sorted(order[:test])
        files['val'][name] = sorted(order[test : test + val])
        files['train'][name] = sorted(order[test + val :])
    unseen = [name for name, val in zip(names, held) if not val]
    if val_fraction and unseen:
        notes.append(f'{len(unseen)} classes are too small for a validation image: {_some(unseen)}')
    return PhotoSplit(Path(source), files, sorted(skipped), notes)


def place_split(
    split: PhotoSplit,
    out: Path,
    how: str,
    lists: dict[str, str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Copy or link the images to ``out/PART/CLASS/``; the folder appears whole or not at all.

    Args:
        split (PhotoSplit): the plan.
        out (Path): folder to make.
        how (str): 'copy', 'hardlink' or 'symlink'.
        lists (dict): name of a file -> its text, beside the images.
        progress (Callable): called with images done and their number.

    Raises:
        ValueError: another ``how``, or one of ``out`` and the source lies in the other.
        FileExistsError: ``out`` is there already.
    """
    put = dict(copy=shutil.copyfile, hardlink=_hardlink, symlink=_symlink)
    if how not in put:
        raise ValueError(f'how must be one of {sorted(put)}, got {how!r}')
    check_out(split.source, out)
    work = out.with_name(f'.{out.name}.unfinished')
    if work.exists():  # what a killed run of this tool left
        shutil.rmtree(work)
    jobs = [
        (path, work / part / path)
        for part, classes in split.files.items()
        if any(classes.values())
        for paths in classes.values()
        for path in paths
    ]
    for done, (path, target) in enumerate(jobs, start=1):
        target.parent.mkdir(parents=True, exist_ok=True)
        put[how](split.source / path, target)
        progress(done, len(jobs))
    for name, text in lists.items():
        write_whole(work / name, text)
    os.replace(work, out)


def check_out(source: Path, out: Path) -> None:
    """Refuse a folder that would mix with the originals, or with what is there."""
    inner, outer = out.resolve(), Path(source).resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise ValueError(
            f'--out {out} and {source} lie in each other: the originals stay untouched'
        )
    if out.exists():
        raise FileExistsError(f'{out} exists: move it away, or choose another --out')


def refuse_parts(folders: Sequence[Path]) -> None:
    """Refuse train, val, test and the like where class folders are expected.

    Args:
        folders (Sequence[Path]): of one folder, >= 1.

    Raises:
        ValueError: All are named as parts of a split.

    Example:
        >>> refuse_parts([Path('photos/cat'), Path('photos/test')])
    """
    names = [path.name for path in folders]
    if set(map(str.lower, names)) <= _SPLIT_NAMES:
        train = [path for path in folders if path.name.lower().startswith('train')]
        raise ValueError(
            f'{folders[0].parent} holds the folders {_some(names)}: it is split already, or these '
            f'are no classes; name a folder of class folders, such as {(train or folders)[0]}'
        )


def _find(source: Path) -> tuple[dict[str, list[str]], list, list[str]]:
    source = Path(source)
    if not source.is_dir():
        raise NotADirectoryError(f'{source} is no folder')
    entries = sorted(source.iterdir(), key=lambda path: path.name)
    folders = [path for path in entries if path.is_dir() and not path.name.startswith('.')]
    skipped = [(p.name + '/', 'hidden folder') for p in entries
               if p.is_dir() and p.name.startswith('.')]  # fmt: skip
    skipped += [(p.name, 'lies in no class folder') for p in entries
                if p.is_file() and p.name.lower().endswith(READ + UNREAD)]  # fmt: skip
    if not folders:
        raise ValueError(f'{source} holds no folders, expected one a class')
    refuse_parts(folders)
    _check_names([path.name for path in folders])
    found = {folder.name: _photos(source, folder, skipped) for folder in folders}
    empty = [name for name, paths in found.items() if not paths]
    if empty:
        raise ValueError(
            f'{len(empty)} of {len(found)} class folders hold no image ({", ".join(READ)}): '
            f'{_some(empty)}; fill them, or take them out of {source}'
        )
    return found, skipped, []


def _check_names(names: list[str]) -> None:
    seen = {}
    for name in names:
        if not name.isprintable() or name != name.strip():
            raise ValueError(f'class folder {name!r}: rename it, its name has blanks at an end')
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(
                f'class folders {other!r} and {name!r} differ in case alone: merge or rename them'
            )
    if len(names) < 2:
        raise ValueError(f'there is one class folder, {names[0]!r}: at least 2 classes are needed')


def _photos(source: Path, folder: Path, skipped: list) -> list[str]:
    paths = []
    for path in sorted(folder.rglob('*')):
        if not path.is_file():
            continue
        name = path.relative_to(source).as_posix()
        if any(part.startswith('.') for part in Path(name).parts):
            skipped.append((name, 'hidden file or folder'))
        elif is_photo(path.name):
            paths.append(name)
        else:
            kind = 'a kind of image that is not read: convert it' if (
                path.name.lower().endswith(UNREAD)) else 'not an image by its name'  # fmt: skip
            skipped.append((name, kind))
    return paths


def _check(source, found, skipped, max_pixels, progress) -> dict[str, list[str]]:
    total, done = sum(map(len, found.values())), 0
    good: dict[str, list[str]] = {name: [] for name in found}
    first: dict[bytes, tuple[str, str]] = {}
    contradictory = set()
    for name, paths in found.items():
        for path in paths:
            fault, content = file_fault(Path(source) / path, max_pixels)
            digest = hashlib.sha256(content).digest()
            if fault:
                skipped.append((path, fault))
            elif digest not in first:
                first[digest] = (name, path)
                good[name].append(path)
            elif first[digest][0] == name:
                skipped.append((path, f'the same image as {first[digest][1]}'))
            else:
                contradictory.add(first[digest])
                skipped.append((path, f'the same image as {first[digest][1]}: two labels'))
            done += 1
            progress(done, total)
    for name, path in contradictory:
        good[name].remove(path)
        skipped.append((path, 'the same image is in another class: two labels'))
    return good


def _drop_empty(source, found, skipped) -> dict[str, list[str]]:
    good = {}
    for name, paths in found.items():
        empty = [path for path in paths if not (Path(source) / path).stat().st_size]
        skipped += [(path, '0 bytes') for path in empty]
        good[name] = [path for path in paths if path not in set(empty)]
    return good


def _drop_small(found, min_images, notes) -> dict[str, list[str]]:
    least = 2 if min_images is None else min_images
    if least < 2:
        raise ValueError(
            f'min_images must be at least 2, one to train and one to test, got {least}'
        )
    small = [f'{name} ({len(paths)})' for name, paths in found.items() if len(paths) < least]
    if small and min_images is None:
        raise ValueError(
            f'{len(small)} classes have fewer than 2 good images: {_some(small)}; add images, or '
            'leave such classes out with --min-images 2'
        )
    if small:
        notes.append(
            f'{len(small)} classes with fewer than {least} images left out: {_some(small)}'
        )
    kept = {name: paths for name, paths in found.items() if len(paths) >= least}
    if len(kept) < 2:
        raise ValueError(f'{len(kept)} classes have {least} images or more, at least 2 are needed')
    return kept


def _rank(path: str, seed: int) -> bytes:
    return hashlib.sha256(f'{seed}/{path}'.encode()).digest()


def _hardlink(source: Path, target: Path) -> None:
    os.link(source.resolve(), target)


def _symlink(source: Path, target: Path) -> None:
    os.symlink(source.resolve(), target)


def _some(names: list[str]) -> str:
    return ', '.join(names[:5]) + (f' and {len(names) - 5} more' if len(names) > 5 else '')
