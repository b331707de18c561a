"""What the converters share: progress, checksums, atomic writes, unpacking that can be repeated."""

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from mmengine.utils import ProgressBar

from mmlt import commands
from mmlt.files import write_whole

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')
_PART = '.part'
# Of one image in an archive; ImageNet's largest has 15 MB.
MAX_IMAGE_BYTES = 2**28


def run(main: Callable[[], None]) -> None:
    """Call main; a mistake of the user, and a broken archive, end in one line."""

    def told() -> None:
        try:
            main()
        except tarfile.TarError as error:
            raise ValueError(error) from error

    commands.run(told)


def is_image(name: str) -> bool:
    """Whether mmpretrain's CustomDataset would take the file for an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def check_sha256(path: Path, known: dict[str, str]) -> None:
    """Compare a file of a known name with its published checksum; unknown names pass."""
    if path.name not in known:
        print(f'{path.name}: no checksum known, not checked')
        return
    with open(path, 'rb') as file:
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
    if digest != known[path.name]:
        raise ValueError(
            f'{path}: sha256 is {digest}, expected {known[path.name]}; the download is damaged '
            'or another version (--no-check takes it as it is)'
        )
    print(f'{path.name}: sha256 correct')


def write_text(path: Path, text: str, overwrite: bool = False) -> None:
    """Write a whole file or nothing, also when killed half-way; say what happened."""
    if path.is_file() and path.read_text() == text:
        print(f'{path}: already there')
        return
    if path.exists() and not overwrite:
        # It may be the official list that a part of the benchmark was just taken from.
        raise FileExistsError(f'{path} exists and differs: move it away, or give --overwrite')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
    print(f'{path}: written')


def write_counts(path: Path, counts: list[int], overwrite: bool = False) -> None:
    """Write class counts as the JSON list that ``load_class_counts`` reads."""
    write_text(path, json.dumps(counts) + '\n', overwrite)


def describe_counts(counts: list[int]) -> str:
    """One line about a distribution of images over classes."""
    groups = [sum(n > 100 for n in counts), sum(20 <= n <= 100 for n in counts)]
    many, medium, few = *groups, len(counts) - sum(groups)
    return (
        f'{len(counts)} classes, {sum(counts)} images, {max(counts)} to {min(counts)} a class; '
        f'many/medium/few {many}/{medium}/{few}'
    )


def count_labels(entries, num_classes: int, source) -> list[int]:
    """Images per label; every class must have one."""
    counts = [0] * num_classes
    for entry in entries:
        counts[entry.label] += 1
    empty = [label for label, count in enumerate(counts) if count == 0]
    if empty:
        raise ValueError(
            f'{source}: {len(empty)} of {num_classes} classes have no image, first {empty[0]}; '
            'number the classes 0, 1, 2 ... without gaps'
        )
    return counts


def place_images(source: Path, out: Path, rename: Callable, check: Callable) -> dict[str, list]:
    """Copy or unpack images to ``out``; whole top folders appear at once, when complete.

    Repeating it does nothing, or completes what a killed run left. A top folder that is already
    there is completed in place, file by file.

    Args:
        source: a tar archive (packed or not) or a folder.
        rename: from a file's path in the source to 'top/...' below ``out``, or None to skip it.
        check: called with {top: [paths]} before anything is moved into place; raises.

    Returns:
        {top: [paths below it]}
    """
    placed: dict[str, list] = {}
    work: dict[str, Path] = {}
    seen: set[str] = set()
    written = 0
    for name, size, read in _files(source):
        target = rename(name)
        if target is None:
            continue
        if '..' in PurePosixPath(target).parts or '\\' in target:
            raise ValueError(f'{source}: {name} leads out of its folder')
        if target in seen:
            raise ValueError(f'{source}: {name} and another file would both be {target}')
        seen.add(target)
        top, rest = target.split('/', 1)
        if top not in work:
            final = out / top
            work[top] = final if final.is_dir() else out / f'.{top}.unfinished'
        placed.setdefault(top, []).append(rest)
        path = work[top] / rest
        if path.is_file() and path.stat().st_size == size:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + _PART)
        part.write_bytes(read())
        os.replace(part, path)
        written += 1
    check(placed)
    for top, folder in work.items():
        _settle(folder, out / top, placed[top])
    print(f'{out}: {written} images written, {sum(map(len, placed.values()))} in place')
    return placed


def _settle(folder: Path, final: Path, names: list[str]) -> None:
    for part in folder.rglob(f'*{_PART}'):
        part.unlink()
    found = {p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()}
    extra = sorted(found - set(names))
    if extra and folder != final:
        # Left by an unfinished run on another source; the folder is the converter's own.
        for name in extra:
            (folder / name).unlink()
    elif extra:
        raise ValueError(
            f'{final} holds {len(extra)} files that the source does not have, first '
            f'{final / extra[0]}; move them away or choose another --out'
        )
    if folder != final:
        os.replace(folder, final)


def _files(source: Path) -> Iterator[tuple[PurePosixPath, int, Callable[[], bytes]]]:
    if source.is_dir():
        paths = sorted(p for p in source.rglob('*') if p.is_file() and is_image(p.name))
        bar = Percent(len(paths))
        for number, path in enumerate(paths, start=1):
            name = PurePosixPath(path.relative_to(source).as_posix())
            yield name, path.stat().st_size, path.read_bytes
            bar.update(number)
        bar.close()
        return
    with open(source, 'rb') as raw, tarfile.open(fileobj=raw) as archive:
        bar = Percent(source.stat().st_size)
        # In the order of the archive: jumping back in a packed one unpacks it from the start.
        for member in archive:
            # The filter refuses absolute paths, '..' and links that lead out of the folder.
            safe = tarfile.data_filter(member, '.')
            if is_image(member.name) and (member.issym() or member.islnk()):
                raise ValueError(f'{source}: {member.name} is a link, expected files alone')
            if safe is not None and safe.isfile() and is_image(safe.name):
                if member.size > MAX_IMAGE_BYTES or member.issparse():
                    raise ValueError(f'{source}: {member.name} has {member.size} bytes')
                read = _reader(archive, member)
                yield PurePosixPath(safe.name), member.size, read
            bar.update(raw.tell())
        bar.close()


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
    return lambda: archive.extractfile(member).read()


class Percent:
    """A progress bar of a hundred steps, so that a log file does not get a line an image."""

    def __init__(self, total: int):
        self.total = max(total, 1)
        self.bar = ProgressBar(100, bar_width=shutil.get_terminal_size().columns // 3)

    def update(self, done: int) -> None:
        """Move on to done of total."""
        steps = min(100, done * 100 // self.total) - self.bar.completed
        if steps > 0:
            self.bar.update(steps)

    def close(self) -> None:
        """Fill the bar and end its line."""
        self.update(self.total)
        print()


def existing(path: str) -> Path:
    """An argument that must be a file or folder."""
    found = Path(path).expanduser()
    if not found.exists():
        raise FileNotFoundError(f'{path} does not exist')
    return found
