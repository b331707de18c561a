"""mmlt's own way from a file to a checkpoint; every path of mmengine goes through it.

mmengine's loaders differ from version to version: one passes ``weights_only=False``, one falls
back to it, one reads downloads without it. :func:`install`, which ``import mmlt`` calls, puts
:func:`load` under all of them: resume, load_from, test, ``init_cfg``, ``get_model``, inferencers,
from files, ``http://``, ``torchvision://``, the model zoo and every other backend. A file is read
whole and checked before torch sees it; what a checkpoint needs not say is refused in one line.
"""

import contextlib
import functools
import io
import logging
import os
import pickle
import re
import threading
import zipfile
from collections import OrderedDict
from fnmatch import fnmatchcase

import torch
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner.checkpoint import CheckpointLoader

from mmlt import safe_pickle
from mmlt.mends import is_ours

# What a published checkpoint lacks, and no prediction needs: projectors, banks, companions.
TRAINING_ONLY = (
    'head.slots.contrast.*',
    'head.slots.uniform.*',
    'head.experts.*.slots.contrast.*',
    'head.experts.*.slots.uniform.*',
    'head.neck.*',
    'companions.*',
)
_torch_load = torch.load
_lock = threading.RLock()
_trusted: set[str] = set()
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, does not fit, or asks for more than weights."""


def trust(checkpoint: str) -> None:
    """Let one file or address be loaded by Python's pickle, which runs whatever the file says.

    For an old checkpoint of your own that holds more than weights. It can run any command with
    your rights. The permission is for this process and for this name alone.

    Args:
        checkpoint (str): path or address, as it will be given to the loader.

    Example:
        >>> trust('work_dirs/2021/epoch_200.pth')
    """
    _trusted.add(_identity(checkpoint))


def load(file, map_location=None):
    """Load a checkpoint that is weights, numbers, text and log histories, and nothing else.

    Args:
        file (str | PathLike | file): the checkpoint; a file object is read from its beginning.
        map_location: as for ``torch.load``.

    Returns:
        What was saved, a dict as a rule.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: checksums that are wrong, a pickle that asks for more than weights,
            sizes that the file does not have; in one line, with the name of the file.

    Example:
        >>> load('work_dirs/run/epoch_200.pth')['meta']['epoch']  # doctest: +SKIP
        200
    """
    if isinstance(file, str | os.PathLike):
        if not os.path.isfile(file):
            raise FileNotFoundError(f'checkpoint {os.fspath(file)} does not exist or is no file')
        name = os.fspath(file)
        with open(file, 'rb') as opened:
            return _load(opened, name, map_location, _identity(name) in _trusted)
    return _load(file, 'the checkpoint', map_location, trusted=False)


def _load(file, name: str, map_location, trusted: bool):
    if trusted:
        print_log(
            f'{name} is trusted: it is loaded by pickle, which runs whatever it says',
            logger='current',
            level=logging.WARNING,
        )
        file.seek(0)
        return _torch_load(file, map_location=map_location, weights_only=False)
    try:
        check_file(file)
        file.seek(0)
        with _only_our_globals():
            checkpoint = _torch_load(file, map_location=map_location, weights_only=True)
    except _REFUSALS as error:
        raise CheckpointError(f'{name} cannot be loaded: {_one_line(error)}') from None
    return safe_pickle.plain(checkpoint)


_REFUSALS = (
    pickle.UnpicklingError, zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, ValueError,
    TypeError, AttributeError, LookupError, EOFError, AssertionError, MemoryError, OverflowError,
    NotImplementedError,
)  # fmt: skip


def check_file(file) -> None:
    """Check a checkpoint's checksums and its pickle without building a tensor.

    Args:
        file: binary file.

    Raises:
        pickle.UnpicklingError, zipfile.BadZipFile, ...: what is wrong.
    """
    file.seek(0)
    begin = file.read(4)
    if not begin:
        safe_pickle.refuse('it is empty (0 bytes)')
    if begin == b'PK\x03\x04':
        _check_zip(file)
    else:
        _check_legacy(file)


def _check_zip(file) -> None:
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 22))
    if file.read(4) != b'PK\x05\x06':
        safe_pickle.refuse('it is cut off, or something follows its end')
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            safe_pickle.refuse('it is compressed, which no checkpoint is')
        if len({name.lower() for name in names}) < len(names):
            safe_pickle.refuse('it holds a record twice')
        if sum(member.file_size for member in members) > size:
            safe_pickle.refuse('its records overlap')
        damaged = archive.testzip()
        if damaged is not None:
            safe_pickle.refuse(
                f'the checksum of {damaged} is wrong: the file was damaged after it was written'
            )
        root = names[0].split('/')[0] if names else ''
        if f'{root}/data.pkl' not in names or f'{root}/constants.pkl' in names:
            safe_pickle.refuse('it was not written by torch.save')
        if any(not name.startswith(f'{root}/') or '..' in name.split('/') for name in names):
            safe_pickle.refuse('it holds records of several archives')
        sizes = {member.filename: member.file_size for member in members}

        def storage(pid) -> safe_pickle.Storage:
            found = _storage(pid, parts=5)
            held = sizes.get(f'{root}/data/{found.key}')
            if held is None or held < found.nbytes:
                safe_pickle.refuse(
                    f'record {found.key!r} should have {found.nbytes} bytes, it has {held}'
                )
            return found

        safe_pickle.check_pickle(io.BytesIO(archive.read(f'{root}/data.pkl')), storage)


def _check_legacy(file) -> None:
    """The format before torch 1.6, which the older files of torchvision have: no checksums."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    found = {}

    def no_storage(pid):
        safe_pickle.refuse('a record before the records')

    def storage(pid) -> safe_pickle.Storage:
        new = _storage(pid, parts=6)
        if pid[5] is not None or found.setdefault(new.key, new) != new:
            safe_pickle.refuse(f'record {new.key!r} is described in two ways')
        if sum(record.nbytes for record in found.values()) > size:
            safe_pickle.refuse('its records are larger than the file')
        return new

    if safe_pickle.check_pickle(file, no_storage) != _LEGACY_MAGIC:
        safe_pickle.refuse('it was not written by torch.save')
    for _ in range(2):  # version, and the machine's sizes of integers
        safe_pickle.check_pickle(file, no_storage)
    safe_pickle.check_pickle(file, storage)
    keys = safe_pickle.check_pickle(file, no_storage)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(found):
        safe_pickle.refuse('its records are not those that it lists')


def _storage(pid, parts: int) -> safe_pickle.Storage:
    if type(pid) is not tuple or len(pid) != parts or pid[0] != 'storage':
        safe_pickle.refuse('a reference to something else than a record of numbers')
    kind, key, location, numel = pid[1:5]
    itemsize = safe_pickle.storage_itemsize(kind)
    if type(key) is not str or type(location) is not str or type(numel) is not int or numel < 0:
        safe_pickle.refuse('a record with a description of another form')
    return safe_pickle.Storage(key, numel * itemsize, itemsize)


@contextlib.contextmanager
def _only_our_globals():
    """Whatever others have allowed torch to call, such as a raw getattr, does not count here."""
    with _lock:
        before = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(safe_pickle.stand_ins())
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


def _one_line(error: BaseException) -> str:
    if isinstance(error, LookupError | RecursionError | EOFError):
        return f'damaged pickle ({type(error).__name__})'
    return str(error).strip().split('\n')[0] or type(error).__name__


def _identity(name) -> str:
    name = os.fspath(name)
    return name if '://' in name else os.path.realpath(os.path.expanduser(name))


# Under mmengine


def install() -> None:
    """Put :func:`load` under every loader of mmengine, and its stand-ins under torch.load."""
    torch.serialization.add_safe_globals(safe_pickle.stand_ins())
    original = CheckpointLoader.__dict__['load_checkpoint'].__func__
    if is_ours(original):
        return

    @functools.wraps(original)
    def load_checkpoint(cls, filename, map_location=None, logger='current'):
        filename = os.fspath(filename)
        if filename.endswith(('.py', '.json', '.yaml', '.yml')):
            raise CheckpointError(f'{filename} is a config file, expected a checkpoint (.pth)')
        if '://' not in filename:
            # Said here, so that it is one line for every loader.
            path = os.path.expanduser(filename)
            if not os.path.isfile(path):
                raise FileNotFoundError(f'checkpoint {filename} does not exist or is no file')
        with _our_torch_load(_identity(filename) in _trusted):
            checkpoint = original(cls, filename, map_location, logger)
        if not isinstance(checkpoint, dict):
            raise CheckpointError(
                f'{filename} is no checkpoint: it holds a {type(checkpoint).__name__}'
            )
        meta = checkpoint.get('meta')
        if isinstance(meta, dict):
            # Runner.resume would run it as a config file, to read gpu_ids, which nothing writes.
            meta.pop('config', None)
        return checkpoint

    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


@contextlib.contextmanager
def _our_torch_load(trusted: bool):
    """Inside, ``torch.load`` is :func:`load`, whatever arguments a backend gives it."""

    def torch_load(f, map_location=None, *args, **kwargs):
        if not trusted:
            return load(f, map_location)
        with open(f, 'rb') if isinstance(f, str | os.PathLike) else f as file:
            return _load(file, str(f), map_location, trusted)

    with _lock:
        before, torch.load = torch.load, torch_load
        try:
            yield
        finally:
            torch.load = before


# Whether it fits


def check_weights(model, checkpoint: dict, name: str, missing=(), unexpected=()) -> list[str]:
    """Load the weights into a model strictly: what is not allowed to differ is refused.

    Old names that a module maps while it loads count as the new ones. BatchNorm's
    ``num_batches_tracked`` may be missing, as it is from files before torch 0.4.1.

    Args:
        model (nn.Module): wrapped or not; gets the weights.
        checkpoint (dict): weights, or what has them under 'state_dict'.
        name (str): of the checkpoint, for the message.
        missing, unexpected (Sequence[str]): patterns ('head.slots.contrast.*') of entries that
            the checkpoint may lack, or have too many; what matches both may have another shape.

    Returns:
        list[str]: the differences that were allowed.

    Raises:
        CheckpointError: any other difference, weights that are not finite.
    """
    state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f'{name} holds no weights')
    broken = [
        key
        for key, value in state.items()
        if not isinstance(value, torch.Tensor) or not value.isfinite().all()
    ]
    if broken:
        raise CheckpointError(
            f'{name} has weights that are NaN, infinite or no numbers: {_listed(broken)}'
        )
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    metadata = getattr(state, '_metadata', None)
    state = OrderedDict((key.removeprefix('module.'), value) for key, value in state.items())
    state._metadata = metadata
    reshaped = []
    while True:
        try:
            lacks, has = model.load_state_dict(state, strict=False)
            break
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).split('\n')[1:] if line.strip()]
            keys = re.findall(r'size mismatch for (\S+):', str(error))
            stay = set(_not_like(keys, missing)) | set(_not_like(keys, unexpected))
            if stay or len(keys) < len(lines) or not set(keys) <= set(state):
                raise CheckpointError(f'{name} does not fit the model: {_listed(lines)}') from None
            reshaped += keys
            for key in keys:
                del state[key]
    lacks = [
        key for key in lacks if not key.endswith('num_batches_tracked') and key not in reshaped
    ]
    faults = [f'missing {key}' for key in _not_like(lacks, missing)]
    faults += [f'unexpected {key}' for key in _not_like(has, unexpected)]
    if faults:
        raise CheckpointError(
            f'{name} does not fit the model: {_listed(faults)}; is it of this config? (what may '
            'differ is said by default_hooks.strict_load.missing and .unexpected)'
        )
    kinds = dict(missing=lacks, unexpected=has, reshaped=reshaped)
    return [f'{kind} {key}' for kind, keys in kinds.items() for key in keys]


def _not_like(keys: list[str], patterns) -> list[str]:
    return [key for key in keys if not any(fnmatchcase(key, pattern) for pattern in patterns)]


def _listed(items: list[str], most: int = 4) -> str:
    more = f' and {len(items) - most} more' if len(items) > most else ''
    return ', '.join(items[:most]) + more
