"""What a checkpoint's pickle may say: read first by an interpreter that builds no tensor.

``torch.load(weights_only=True)`` keeps a pickle from calling what it likes, but believes the sizes
in it: a crafted file reads beyond the end of a record, asks for terabytes, or crashes the process
through numpy's ``__setstate__``. So a file is read twice. :func:`check_pickle` goes over the
opcodes, knows the few functions that torch.save and mmengine write, and checks every size against
what the file holds. Only then does torch build the tensors, with numpy's functions replaced by
the stand-ins below, which a plain ``torch.load`` in the same process meets too.
"""

import math
import pickle
import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

STATISTICS = ('min', 'max', 'current', 'mean')
# The dtypes of log histories, of metrics kept as a best score, and of masks and labels.
DTYPES = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')
MAX_DEPTH = 64
MAX_ITEMS = 20_000_000
MAX_EXPANDED = 2**24
_HISTORY = f'{HistoryBuffer.__module__}.{HistoryBuffer.__qualname__}'
_STORAGES = {
    'BFloat16Storage': 2, 'BoolStorage': 1, 'ByteStorage': 1, 'CharStorage': 1,
    'ComplexDoubleStorage': 16, 'ComplexFloatStorage': 8, 'DoubleStorage': 8, 'FloatStorage': 4,
    'HalfStorage': 2, 'IntStorage': 4, 'LongStorage': 8, 'ShortStorage': 2, 'UntypedStorage': 1,
}  # fmt: skip


def refuse(reason: str):
    """Raise what every unpickler raises, in one line."""
    raise pickle.UnpicklingError(reason)


def _restricted_getattr(owner, name):
    """Stand in for ``builtins.getattr``: HistoryBuffer's statistics, nothing else.

    The true getattr on the list would let a checkpoint run any command while it is loaded.
    """
    if owner in (HistoryBuffer, SafeHistory) and name in STATISTICS:
        return getattr(HistoryBuffer, name)
    refuse(f'a checkpoint may not look up {_short(name)} of {_short(owner)}')
    return None


class SafeDType:
    """Stand in for ``numpy.dtype``: the simple types, by name."""

    def __init__(self, name, align=False, copy=True):
        if not isinstance(name, str) or name not in DTYPES:
            refuse(f'a checkpoint may not hold numpy data of type {_short(name)}')
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        if not (
            isinstance(state, tuple)
            and state[2:5] == (None,) * 3
            and state[1] in ('<', '>', '|', '=')
        ):
            refuse(f'numpy data type {self.dtype} with another state than its byte order')
        self.dtype = self.dtype.newbyteorder(state[1])


class SafeArray(np.ndarray):
    """Stand in for ``numpy.ndarray``: shape, type and number of bytes must agree."""

    def __setstate__(self, state):
        if not (isinstance(state, tuple) and len(state) == 5):
            refuse('numpy array with a state of another form')
        _, shape, dtype, fortran, data = state
        array = _from_bytes(data, dtype, shape)
        if fortran:
            array = array.reshape(shape[::-1]).T
        self.dtype = array.dtype
        self.resize(array.shape, refcheck=False)
        self[...] = array

    def __reduce_ex__(self, protocol):
        return plain(self).__reduce_ex__(protocol)


def _reconstruct(cls, shape, typecode):
    if cls is not SafeArray or shape != (0,) or typecode != b'b':
        refuse('a checkpoint may only build empty numpy arrays and fill them')
    return np.ndarray.__new__(SafeArray, (0,), np.int8)  # owns its data: it can be resized


def _scalar(dtype, data):
    return _from_bytes(data, dtype, ()).reshape(())[()]


def _from_bytes(data, dtype, shape) -> np.ndarray:
    if not isinstance(dtype, SafeDType) or not isinstance(data, bytes):
        refuse('numpy data must be bytes of a simple type')
    if not isinstance(shape, tuple) or not _sizes(shape):
        refuse('numpy array with a shape of another form')
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        refuse(f'numpy array of shape {shape} and type {dtype.dtype} in {len(data)} bytes')
    array = np.frombuffer(data, dtype.dtype).reshape(shape)
    return array.astype(dtype.dtype.newbyteorder('='))


def _no_bytes():
    return b''


class SafeHistory(HistoryBuffer):
    """Stand in for mmengine's HistoryBuffer: two plain arrays and its own statistics."""

    def __setstate__(self, state):
        wanted = {'max_length', '_log_history', '_count_history', 'statistics_methods'}
        if not isinstance(state, dict) or not set(state) <= wanted:
            refuse('log history with attributes of another name')
        methods = state.get('statistics_methods', {})
        if not isinstance(methods, dict) or any(
            name not in STATISTICS or method is not getattr(HistoryBuffer, name)
            for name, method in methods.items()
        ):
            refuse('log history with statistics that are not its own')
        arrays = [plain(state.get(name)) for name in ('_log_history', '_count_history')]
        if any(type(array) is not np.ndarray or array.ndim != 1 for array in arrays):
            refuse('log history that is no list of numbers')
        if len(arrays[0]) != len(arrays[1]) or type(state.get('max_length')) is not int:
            refuse('log history with values and counts of different lengths')
        self.__init__(*arrays, max_length=state['max_length'])
        self.__class__ = HistoryBuffer


def plain(value):
    """The value with numpy's own types in the place of the stand-ins, in containers too."""
    if isinstance(value, SafeArray):
        return np.array(value, subok=False)
    if isinstance(value, SafeDType):
        return value.dtype
    if type(value) in (dict, OrderedDict):
        for key in value:
            value[key] = plain(value[key])
    elif type(value) is list:
        value[:] = map(plain, value)
    elif type(value) is tuple:
        return tuple(map(plain, value))
    return value


def stand_ins() -> list:
    """The (object, name) pairs for ``torch.serialization.add_safe_globals``."""
    pairs = [
        (_restricted_getattr, 'builtins.getattr'),
        (_no_bytes, 'builtins.bytes'),
        (SafeHistory, _HISTORY),
        (SafeArray, 'numpy.ndarray'),
        (SafeDType, 'numpy.dtype'),
    ]
    for core in ('numpy._core', 'numpy.core'):  # numpy 2 and numpy 1 name them differently
        pairs.append((_reconstruct, f'{core}.multiarray._reconstruct'))
        pairs.append((_scalar, f'{core}.multiarray.scalar'))
    return pairs


# The interpreter


class Storage(NamedTuple):
    """A record of numbers that the file holds or does not hold."""

    key: str
    nbytes: int
    itemsize: int


class _Name(NamedTuple):
    name: str


class _Tensor(NamedTuple):
    shape: tuple


_ATTRIBUTES = object()


def check_pickle(file, storage: Callable[[tuple], Storage]):
    """Follow the opcodes of the next pickle in a file; returns containers with placeholders.

    Args:
        file: binary file, at the beginning of a pickle.
        storage (Callable): turns a persistent id into what the file holds of it, or refuses it.

    Raises:
        pickle.UnpicklingError: an opcode, a name, a size or a depth that no checkpoint needs.
    """
    stack, marks, memo = [], [], {}

    def since_mark():
        start = marks.pop() if marks else refuse('damaged pickle')
        items = stack[start:]
        del stack[start:]
        return items

    for opcode, argument, _ in pickletools.genops(file):
        match opcode.name:
            case 'PROTO' | 'FRAME':
                pass
            case 'STOP':
                value = stack.pop()
                _measure(value, {}, 0)
                return value
            case 'GLOBAL':
                stack.append(_known(*argument.split(' ', 1)))
            case 'REDUCE':
                args, function = stack.pop(), stack.pop()
                stack.append(_call(function, args))
            case 'NEWOBJ':
                args, cls = stack.pop(), stack.pop()
                if cls != _Name(_HISTORY) or args != ():
                    refuse(f'a checkpoint may not make objects of {_short(cls)}')
                stack.append(SafeHistory.__new__(SafeHistory))
            case 'BUILD':
                state = stack.pop()
                _build(stack[-1], state)
            case 'BINPERSID':
                stack.append(storage(stack.pop()))
            case 'APPEND' | 'APPENDS':
                items = since_mark() if opcode.name == 'APPENDS' else [stack.pop()]
                if type(stack[-1]) is not list:
                    refuse('only lists grow')
                stack[-1].extend(items)
            case 'SETITEM' | 'SETITEMS':
                items = since_mark() if opcode.name == 'SETITEMS' else [stack.pop(-2), stack.pop()]
                if type(stack[-1]) not in (dict, OrderedDict, Counter):
                    refuse('only dicts have items')
                for key, item in zip(items[::2], items[1::2], strict=True):
                    stack[-1][_hashable(key)] = item
            case 'MARK':
                marks.append(len(stack))
            case 'TUPLE':
                stack.append(tuple(since_mark()))
            case 'TUPLE1' | 'TUPLE2' | 'TUPLE3':
                size = int(opcode.name[-1])
                if len(stack) < size:
                    refuse('damaged pickle')
                stack[-size:] = [tuple(stack[-size:])]
            case 'EMPTY_TUPLE' | 'EMPTY_LIST' | 'EMPTY_DICT' | 'EMPTY_SET':
                kind = dict(TUPLE=tuple, LIST=list, DICT=dict, SET=set)[opcode.name[6:]]
                stack.append(kind())
            case 'NONE' | 'NEWTRUE' | 'NEWFALSE':
                stack.append(dict(NONE=None, NEWTRUE=True, NEWFALSE=False)[opcode.name])
            case 'BININT' | 'BININT1' | 'BININT2' | 'BINFLOAT' | 'LONG1' | 'BINUNICODE':
                stack.append(argument)
            case 'SHORT_BINSTRING':
                # Of Python 2; outside ASCII this reader and torch's decode it differently.
                stack.append(argument if argument.isascii() else refuse('text in no encoding'))
            case 'BINGET' | 'LONG_BINGET':
                stack.append(memo[argument])
            case 'BINPUT' | 'LONG_BINPUT':
                memo[argument] = stack[-1]
            case _:
                refuse(f'the pickle opcode {opcode.name} is in no checkpoint')
    refuse('damaged pickle: it has no end')
    return None


def storage_itemsize(kind) -> int:
    """Bytes a number of a storage class, as an interpreted pickle names it."""
    kind = kind.name.rpartition('.')[2] if isinstance(kind, _Name) else None
    if kind not in _STORAGES:
        refuse(f'a record of the type {kind}')
    return _STORAGES[kind]


def _known(module: str, name: str) -> _Name:
    module = {'__builtin__': 'builtins', 'torch.tensor': 'torch._tensor'}.get(module, module)
    name = f'{module}.{name}'
    if name in _CALLS or name in _VALUES or name == _HISTORY:
        return _Name(name)
    kind = name.rpartition('.')[2]
    if module in ('torch', 'torch.storage') and kind in _STORAGES:
        return _Name(name)
    if module == 'torch' and isinstance(getattr(torch, kind, None), torch.dtype):
        return _Name(name)
    refuse(f'{name} is nothing that a checkpoint needs')
    return None


def _call(function, args):
    if not isinstance(function, _Name) or function.name not in _CALLS or type(args) is not tuple:
        refuse(f'a checkpoint may not call {_short(function)}')
    try:
        return _CALLS[function.name](*args)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        refuse(f'{function.name} with arguments that it does not take: {error}')


def _build(inst, state) -> None:
    if isinstance(inst, SafeHistory | SafeArray | SafeDType):
        try:
            inst.__setstate__(state)
        except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
            refuse(f'{type(inst).__name__} with a state that it does not take: {error}')
    elif type(inst) is OrderedDict:
        # What torch keeps about the versions of modules.
        metadata = state.get('_metadata') if isinstance(state, dict) else None
        if not isinstance(metadata, dict) or len(state) > 1:
            refuse('a dict with attributes')
        if not all(isinstance(value, dict) for value in metadata.values()):
            refuse('a dict with metadata of another form')
        inst[_ATTRIBUTES] = state  # measured with the rest
    else:
        refuse(f'a checkpoint may not set the state of {type(inst).__name__}')


def _hashable(key):
    items = key if type(key) is tuple else (key,)
    if all(type(item) in (str, int, float, bool, bytes, type(None)) for item in items):
        return key
    refuse(f'a dict with the key {_short(key)}')
    return None


def _measure(value, known: dict, depth: int) -> tuple[int, int]:
    """Number of items and depth below a value, as someone who follows every reference meets it."""
    if type(value) is SafeHistory:
        refuse('log history without a state')
    if type(value) not in (list, tuple, dict, OrderedDict, set, Counter):
        return 1, 0
    if id(value) not in known:
        if depth > MAX_DEPTH:
            refuse(f'values nested more than {MAX_DEPTH} deep')
        items = value.values() if isinstance(value, dict) else value
        below = [_measure(item, known, depth + 1) for item in items]
        known[id(value)] = (
            1 + sum(size for size, _ in below),
            1 + max((height for _, height in below), default=0),
        )
    size, height = known[id(value)]
    if size > MAX_ITEMS or depth + height > MAX_DEPTH:
        refuse(f'more than {MAX_ITEMS} items, or more than {MAX_DEPTH} levels of them')
    return size, height


def _sizes(values) -> bool:
    return isinstance(values, tuple) and all(type(v) is int and 0 <= v < 2**62 for v in values)


def _short(value) -> str:
    if isinstance(value, _Name):
        return value.name
    return repr(value[:80]) if isinstance(value, str) else f'a {type(value).__name__}'


# The functions that checkpoints call


def _tensor(storage, offset, size, stride, requires_grad=False, hooks=None, itemsize=None, *more):
    if not isinstance(storage, Storage):
        refuse('a tensor without storage')
    if not _sizes((offset,)) or not _sizes(size) or not _sizes(stride) or len(size) != len(stride):
        refuse('a tensor with size, stride or offset of another form')
    if len(size) > MAX_DEPTH or hooks:
        refuse('a tensor with hooks or too many dimensions')
    itemsize = itemsize or storage.itemsize
    numel = math.prod(size)
    needed = offset + sum((n - 1) * step for n, step in zip(size, stride)) + 1 if numel else 0
    if needed * itemsize > storage.nbytes or numel > max(storage.nbytes, MAX_EXPANDED):
        refuse(f'a tensor of size {size} in a record of {storage.nbytes} bytes')
    return _Tensor(size)


def _tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata=None):
    if metadata:
        refuse('a tensor with metadata')
    return _tensor(storage, offset, size, stride, requires_grad, hooks)


def _tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, metadata=None):
    kind = getattr(torch, dtype.name.removeprefix('torch.')) if isinstance(dtype, _Name) else None
    if metadata or not isinstance(kind, torch.dtype):
        refuse('a tensor with metadata or without type')
    return _tensor(storage, offset, size, stride, requires_grad, hooks, kind.itemsize)


def _parameter(data, requires_grad, hooks, state=None):
    if not isinstance(data, _Tensor) or hooks or state:
        refuse('a parameter that is no tensor, or has hooks')
    return data


def _typed(function, cls, args, state):
    if cls not in (_Name('torch.Tensor'), _Name('torch.nn.parameter.Parameter')) or state:
        refuse(f'a tensor of the class {_short(cls)}, or with attributes')
    return _call(function, args)


def _size(values=()):
    return values if _sizes(tuple(values)) else refuse('a torch.Size of something else')


def _device(kind, index=0):
    known = type(kind) is str and len(kind) < 16 and type(index) is int
    return kind if known else refuse('a torch.device of something else')


def _encode(text, encoding):
    if type(text) is not str or encoding not in ('latin1', 'latin-1'):
        refuse('bytes in another encoding than latin1')
    return text.encode('latin1')


def _ordered_dict(pairs=()):
    return OrderedDict((_hashable(key), value) for key, value in pairs)


def _counter(counts=()):
    if not isinstance(counts, dict):
        refuse('a Counter of something else')
    return Counter(counts)


def _set(items=()):
    if type(items) is not list:
        refuse('a set of something else')
    return {_hashable(item) for item in items}


def _complex(real, imaginary):
    return complex(real, imaginary)


def _named(function):
    """The stand-in, for arguments that still are names of classes."""
    classes = {_HISTORY: HistoryBuffer, 'numpy.ndarray': SafeArray}

    def call(*args):
        return function(
            *(classes.get(arg.name, arg) if isinstance(arg, _Name) else arg for arg in args)
        )

    return call


_VALUES = ('torch.Tensor', 'torch.nn.parameter.Parameter', 'numpy.ndarray')
_CALLS = {
    '_codecs.encode': _encode,
    'builtins.complex': _complex,
    'builtins.set': _set,
    'collections.Counter': _counter,
    'collections.OrderedDict': _ordered_dict,
    'torch.Size': _size,
    'torch.device': _device,
    'torch._utils._rebuild_tensor': _tensor,
    'torch._utils._rebuild_tensor_v2': _tensor_v2,
    'torch._utils._rebuild_tensor_v3': _tensor_v3,
    'torch._utils._rebuild_parameter': _parameter,
    'torch._utils._rebuild_parameter_with_state': _parameter,
    'torch._tensor._rebuild_from_type_v2': _typed,
}
_CALLS |= {
    name: _named(stand_in)
    for stand_in, name in stand_ins()
    if name not in (_HISTORY, 'numpy.ndarray')
}
