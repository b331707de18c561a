"""Files that are whole or absent, work dirs that one run writes to, errors that name the disk."""

import contextlib
import errno
import os
import re
import shutil
import socket
import uuid

# What a writer that was killed leaves behind; before, the name had no digits of its own.
TEMPORARY = re.compile(r'\.pth(\.[0-9a-f]{8})?\.tmp')
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_locks: dict[str, int] = {}


def write_whole(path, content: bytes | str) -> None:
    """Write beside ``path``, force it to disk, then rename onto it.

    Two writers never share a name: one of their files is the result, not a mixture.

    Args:
        path (str | PathLike): file to write; its folder is made.
        content (bytes | str): text is written as UTF-8.

    Raises:
        OSError: in one line, with the file, and the room on its disk if that is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(f'{folder}/new/a.txt', 'whole')
        ...     open(f'{folder}/new/a.txt').read()
        'whole'
    """
    path = os.fspath(path)
    content = content.encode() if isinstance(content, str) else content
    folder = os.path.dirname(path) or '.'
    temporary = f'{path}.{uuid.uuid4().hex[:8]}.tmp'
    try:
        os.makedirs(folder, exist_ok=True)
        with open(temporary, 'xb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        _discard(temporary)
        raise type(error)(error.errno, disk_trouble(error, path, len(content))) from error
    except BaseException:
        _discard(temporary)
        raise
    # The rename itself reaches the disk with its folder; not every file system can be asked.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def disk_trouble(error: OSError, path: str, size: int | None = None) -> str:
    """One line about an error of the disk: the file, the reason, and what to free.

    Example:
        >>> disk_trouble(OSError(30, 'Read-only file system'), '/mnt/run/epoch_1.pth')
        'cannot write /mnt/run/epoch_1.pth: Read-only file system'
    """
    text = f'cannot write {path}: {error.strerror or error}'
    if error.errno in _FULL:
        text += f': {_room(path)} free' + (f', {size / 2**20:.1f} MiB needed' if size else '')
        text += '; free room there (old work dirs, epoch_*.pth) and go on with --resume'
    return text


def csv_text(text) -> str:
    """Text for a cell of a table that no spreadsheet takes for a formula or a new line.

    Example:
        >>> csv_text('=HYPERLINK("http://x")'), csv_text('cat\\n'), csv_text('sea lion')
        ('\\'=HYPERLINK("http://x")', 'cat\\\\n', 'sea lion')
    """
    text = printable(text)
    return f"'{text}" if text.startswith(('=', '+', '-', '@')) else text


def printable(text) -> str:
    """The text with its control characters written out.

    Example:
        >>> printable('a\\x1b[31mb')
        'a\\\\x1b[31mb'
    """
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in str(text))


def lock_work_dir(work_dir) -> None:
    """Keep a work dir for this process until it ends; refuse if another one has it.

    The lock is the system's own: it goes with the process, however that ends.

    Raises:
        RuntimeError: another process trains in this folder; says which.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lock_work_dir(folder)
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    folder = os.path.realpath(work_dir)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, '.lock')
    known = _locks.get(path)
    if known is not None and os.path.exists(path) and os.path.samestat(
        os.fstat(known), os.stat(path)
    ):  # fmt: skip
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        owner = os.read(handle, 200).decode(errors='replace').strip() or 'another process'
        os.close(handle)
        raise RuntimeError(
            f'{folder} is in use by {owner}: two runs in one work dir overwrite each other; '
            'choose another --work-dir, or wait'
        ) from None
    except OSError:  # a file system without locks
        os.close(handle)
        return
    os.ftruncate(handle, 0)
    os.write(handle, f'process {os.getpid()} on {socket.gethostname()}'.encode())
    _locks[path] = handle


def _room(path: str) -> str:
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return f'{shutil.disk_usage(folder).free / 2**20:.1f} MiB of the disk of {folder}'


def _discard(path: str) -> None:
    with contextlib.suppress(OSError):
        os.remove(path)
