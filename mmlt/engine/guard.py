"""What every command does around its work: locks, signals, broken pipes, errors in one line."""

import errno
import logging
import os
import signal
import sys
import traceback

from torch import distributed

from mmlt.checkpoint import CheckpointError
from mmlt.engine.hooks import (
    ExactResumeHook,
    FiniteLossHook,
    NonFiniteLossError,
    Stopped,
    StopSignalHook,
    StrictLoadHook,
)
from mmlt.engine.work_dir import find_resumable
from mmlt.files import disk_trouble, lock_work_dir
from mmlt.processes import end_with_parent

_DISK = ('ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EIO', 'EACCES', 'EPERM')
_PATHS = ('EEXIST', 'ENOTDIR', 'EISDIR')  # a file where a folder should be, or the other way round
_REFUSING = ('mmengine', 'mmpretrain', 'torch', 'mmlt')


def guarded(main) -> None:
    """Call ``main``; errors that a user can mend end in one line, a stop by its signal.

    Args:
        main (Callable[[], None]): the command.

    Example:
        >>> guarded(lambda: print('done'))
        done
    """
    sys.stdout = UnbreakableOutput(sys.stdout)
    before, logging.Handler.handleError = logging.Handler.handleError, _log_trouble
    try:
        main()
        _leave_process_group()
    except Stopped as stopped:
        sys.stdout.flush()
        _end_by(stopped.signum)
    except (CheckpointError, NonFiniteLossError, WorkDirInUse) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        _end_by(signal.SIGINT)
    except (ValueError, TypeError, KeyError, ImportError, FileNotFoundError) as error:
        told = _told_by_mmlt(error)
        if os.environ.get('MMLT_TRACEBACK') or not (told or _while_building(error)):
            raise
        # What others raise does not always say what it is about.
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        name = '' if told else f'{type(error).__name__}: '
        sys.exit(f'error: {name}{text} (MMLT_TRACEBACK=1 shows where)')
    except OSError as error:
        if os.environ.get('MMLT_TRACEBACK') or error.errno not in _numbers(_DISK + _PATHS):
            raise
        if error.errno in _numbers(_PATHS):
            sys.exit(f'error: {_path(error)}: {error.strerror} (MMLT_TRACEBACK=1 shows where)')
        text = error.strerror or str(error)
        sys.exit(f'error: {text if "cannot write" in text else disk_trouble(error, _path(error))}')
    finally:
        logging.Handler.handleError = before
        sys.stdout = sys.stdout.stream


def _leave_process_group() -> None:
    """Join the threads of the process group, so that none of them outlives Python.

    gloo's thread frees the tensor of the last collective after it has told the main thread that it
    is done. If Python is at its end by then, the process aborts ("terminate called without an
    active exception"), and the launcher calls a finished run failed. After an error this is not
    called: it would wait for a collective that the other processes may never join.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


class WorkDirInUse(RuntimeError):
    """Another run writes to the work dir."""


def guard_process(cfg) -> None:
    """Before a training is built: end with the launcher, and keep others out of the work dir."""
    if cfg.get('launcher', 'none') != 'none':
        end_with_parent(signal.SIGTERM)
    if _is_first():
        try:
            lock_work_dir(cfg.work_dir)
        except RuntimeError as error:
            raise WorkDirInUse(str(error)) from None


def guard_runner(runner, train: bool = True) -> None:
    """Register the hooks that guard a run, where its config has none of them."""
    wanted = [StrictLoadHook]
    if train:
        wanted += [FiniteLossHook, StopSignalHook, ExactResumeHook]
    for hook in wanted:
        if not any(isinstance(known, hook) for known in runner.hooks):
            runner.register_hook(hook())


def resume_path(work_dir: str, given: str | None) -> str | None:
    """The checkpoint to resume: the given one, or the newest of the work dir that loads."""
    if given is not None:
        return given
    path, skipped = find_resumable(work_dir)
    for line in skipped if _is_first() else ():
        print(line, file=sys.stderr)
    return path


def _is_first() -> bool:
    """Whether this is the first process, as its launcher says: the Runner is not built yet."""
    names = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK', 'PMI_RANK')
    return all(os.environ.get(name, '0') == '0' for name in names)


class UnbreakableOutput:
    """Standard output that a reader may leave: what follows is dropped, the run goes on."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        """Write, or drop."""
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self):
        """Flush, or drop."""
        try:
            self.stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


def _told_by_mmlt(error: BaseException) -> bool:
    """Whether a ``raise`` of this package is where it began: then its line says what to change."""
    while error.__context__ is not None:  # mmengine's registries raise anew, with the class's name
        error = error.__context__
    frames = traceback.extract_tb(error.__traceback__)
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    last = frames[-1] if frames else None
    return bool(last and last.filename.startswith(package) and last.line.startswith('raise '))


def _numbers(names) -> set:
    return {getattr(errno, name) for name in names if hasattr(errno, name)}


def _while_building(error: BaseException) -> bool:
    """Whether mmengine was making something of a config: then a setting is to blame, as a rule.

    A ``TypeError`` from the inside of what is made does not say of what; that of a call does.
    """
    if isinstance(error, TypeError) and '__init__()' not in str(error):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    building = any(_is_of(frame, 'mmengine') and frame.name.startswith('build') for frame in frames)
    # Below code of the user's own it is a mistake of that, whose line must be seen.
    return building and any(_is_of(frames[-1], name) for name in _REFUSING)


def _is_of(frame, package: str) -> bool:
    return f'{os.sep}{package}{os.sep}' in frame.filename


_told = set()


def _log_trouble(handler, record) -> None:
    """One line, once a file, in the place of logging's traceback for every record."""
    error, path = sys.exc_info()[1], getattr(handler, 'baseFilename', 'the log')
    if path not in _told:
        _told.add(path)
        trouble = isinstance(error, OSError)
        text = disk_trouble(error, path) if trouble else f'cannot log to {path}: {error!r}'
        print(text, file=sys.stderr)


def _path(error: OSError) -> str:
    """The file that an error is about; write() does not say it, the frames above know."""
    path, trace = error.filename, error.__traceback__
    while trace is not None:
        for name in ('file_path', 'filepath', 'out_file_path', 'path', 'file', 'filename'):
            value = trace.tb_frame.f_locals.get(name)
            path = value if isinstance(value, str) and os.sep in value else path
        trace = trace.tb_next
    return path or os.getcwd()


def _end_by(signum: int) -> None:
    """End as if the signal had not been caught, so that a shell or scheduler sees it."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
