"""Files that a checkpoint loader must refuse: each by the opcodes of its pickle.

``hostile_files(folder, mark)`` writes them all; those that would run a command create ``mark``.
"""

import io
import pickle
import struct
import tarfile
import zipfile

HISTORY = ('mmengine.logging.history_buffer', 'HistoryBuffer')
ARRAY = ('numpy._core.multiarray', '_reconstruct')
FEW = struct.pack('<4f', 1, 2, 3, 4)


class Op(bytes):
    """Opcodes that stand for themselves."""


def name(module: str, attribute: str) -> Op:
    return Op(b'c' + f'{module}\n{attribute}\n'.encode())


def put(value) -> bytes:
    """The opcodes of a value of simple types, tuples, lists and dicts around other opcodes."""
    if isinstance(value, Op):
        return value
    if isinstance(value, bool) or value is None:
        return {True: b'\x88', False: b'\x89', None: b'N'}[value]
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return b'J' + struct.pack('<i', value)
        data = pickle.encode_long(value)
        return b'\x8a' + bytes([len(data)]) + data
    if isinstance(value, str):
        data = value.encode()
        return b'X' + struct.pack('<I', len(data)) + data
    if isinstance(value, bytes):
        return call('_codecs', 'encode', value.decode('latin1'), 'latin1')
    if isinstance(value, tuple):
        return b'(' + b''.join(map(put, value)) + b't'
    if isinstance(value, list):
        return b'](' + b''.join(map(put, value)) + b'e'
    items = b''.join(put(key) + put(item) for key, item in value.items())
    return b'}(' + items + b'u'


def call(module: str, attribute: str, *args) -> Op:
    return Op(name(module, attribute) + put(args) + b'R')


def new(module: str, attribute: str, *args) -> Op:
    return Op(name(module, attribute) + put(args) + b'\x81')


def build(inst: bytes, state) -> Op:
    return Op(inst + put(state) + b'b')


def storage(numel=4, key='0', kind='FloatStorage') -> Op:
    return Op(put(('storage', name('torch', kind), key, 'cpu', numel)) + b'Q')


def tensor(numel=4, offset=0, size=(4,), stride=(1,), **options) -> Op:
    hooks = call('collections', 'OrderedDict')
    args = (storage(numel, **options), offset, size, stride, False, hooks)
    return call('torch._utils', '_rebuild_tensor_v2', *args)


def dtype(kind: str, state=(3, '<', None, None, None, -1, -1, 0)) -> Op:
    return build(call('numpy', 'dtype', kind, False, True), state)


def array(kind: bytes, shape, data: bytes) -> Op:
    empty = call(*ARRAY, name('numpy', 'ndarray'), (0,), b'b')
    return build(empty, (1, shape, kind, False, data))


def history(state) -> Op:
    return build(new(*HISTORY), state)


def getattr_(owner, attribute) -> Op:
    return call('__builtin__', 'getattr', owner, attribute)


def file_of(payload: bytes, records=None, compress=zipfile.ZIP_STORED) -> bytes:
    """What torch.save would write around a payload in the place of ``meta``."""
    body = b'\x80\x02' + put({'state_dict': {}, 'message_hub': {}, 'meta': Op(payload)}) + b'.'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', compress) as archive:
        archive.writestr('archive/data.pkl', body)
        for key, data in (records or {'data/0': FEW}).items():
            archive.writestr(f'archive/{key}', data)
        archive.writestr('archive/byteorder', 'little')
        archive.writestr('archive/version', '3\n')
    return buffer.getvalue()


def legacy(payload: bytes, keys=('0',)) -> bytes:
    parts = (Op(put(0x1950A86A20F9469CFC6C)), 1001, {}, Op(payload), list(keys))
    return b''.join(b'\x80\x02' + put(part) + b'.' for part in parts)


def nested(open_: bytes, close: bytes, depth=100_000) -> Op:
    return Op(open_ * depth + b'N' + close * depth)


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('storages'))
    return buffer.getvalue()


def payloads(mark: str) -> dict[str, bytes]:
    """The pickles."""
    command = f'touch {mark}'
    code = f'open({mark!r}, "w")'
    history_class, method = name(*HISTORY), getattr_(name(*HISTORY), 'min')
    rebuild = name('torch._utils', '_rebuild_tensor_v2')
    numbers, none = array(dtype('f8'), (1,), bytes(8)), array(dtype('f8'), (0,), b'')
    state = {'max_length': 9, '_log_history': numbers, '_count_history': numbers}
    laughs = b'(]q\x00Na'  # each list holds the one before ten times
    for i in range(1, 30):
        laughs += b']q' + bytes([i]) + b'(' + (b'h' + bytes([i - 1])) * 10 + b'e'
    return {
        'os.system': call('os', 'system', command),
        'posix.system': call('posix', 'system', command),
        'eval': call('__builtin__', 'eval', code),
        'exec': call('builtins', 'exec', code),
        'import': call('__builtin__', '__import__', 'os'),
        'Popen': new('subprocess', 'Popen', command),
        'inst': Op(b'(' + put(command) + b'ios\nsystem\n'),
        'stack global': Op(put('os') + put('system') + b'\x93' + put((command,)) + b'R'),
        'globals of a method': getattr_(method, '__globals__'),
        'getattr of text': getattr_('text', 'format'),
        'getattr of a class': getattr_(history_class, 'register_statistics'),
        'getattr of torch': getattr_(name('torch', 'Tensor'), 'tofile'),
        'runpy': call('runpy', '_run_code', code, {}),
        'torch.load': call('torch.serialization', 'load', 'x'),
        'huge array': array(dtype('f8'), (2**40,), b''),
        'huge empty array': call(*ARRAY, name('numpy', 'ndarray'), (2**40,), b'b'),
        'array of another class': call(*ARRAY, history_class, (0,), b'b'),
        'array of objects': array(dtype('O8', (3, '|', None, None, None, -1, -1, 63)), (1,), FEW),
        'array of pointers': array(dtype('O'), (1,), struct.pack('<Q', 0x4141414141414141)),
        'array beyond its bytes': array(dtype('f8'), (1000,), bytes(8)),
        'negative array': array(dtype('f8'), (-5,), bytes(8)),
        'text as bytes': array(dtype('f8'), (1,), 'x' * 8),
        'type with a size': dtype('V8', (3, '|', None, ('a',), {'a': 1}, 2**31 - 1, 1, 0)),
        'type with fields': dtype('f8', (3, '<', ('f8', (9,)), None, None, -1, -1, 0)),
        'scalar of objects': call(ARRAY[0], 'scalar', dtype('O8'), b'\x41' * 8),
        'short scalar': call(ARRAY[0], 'scalar', dtype('f8'), b'\x41'),
        'bytearray': call('__builtin__', 'bytearray', 2**42),
        'huge tensor': call('torch', 'Tensor', 2**40),
        'huge FloatTensor': call('torch', 'FloatTensor', 2**40),
        'huge storage': call('torch.storage', 'UntypedStorage', 2**42),
        'storage beyond its record': tensor(2**28, 0, (2**28,), (1,)),
        'storage without record': tensor(key='7'),
        'storage outside': tensor(key='../version'),
        'tensor beyond its storage': tensor(4, 0, (2**30,), (1,)),
        'tensor before its storage': tensor(4, -2, (2,), (1,)),
        'negative stride': tensor(4, 0, (4,), (-1,)),
        'overflowing stride': tensor(4, 0, (3, 3), (2**62, 2**62)),
        'endless by stride 0': tensor(4, 0, (2**50,), (0,)),
        'wrapper tensor': call('torch._utils', '_rebuild_wrapper_subclass', 1, 2, 3, 4, 5, 6, 7),
        'sparse tensor': call('torch._utils', '_rebuild_sparse_tensor', 1, (2, 3)),
        'tensor with attributes': call(
            'torch._tensor', '_rebuild_from_type_v2', name('torch._utils', '_rebuild_tensor_v2'),
            name('torch', 'Tensor'), (storage(), 0, (4,), (1,), False, {}), {'shape': 1},
        ),
        'reference to a module': Op(put(('module', name('os', 'path'), 'x', 'y')) + b'Q'),
        'reference of another form': Op(put(('storage', 1)) + b'Q'),
        'deep key': Op(b'}' + nested(b'', b'\x85') + b'Ns'),
        'deep list': nested(b'](', b'e'),
        'billion laughs': Op(laughs + b't'),
        'list in itself': Op(b']q\x00h\x00a'),
        'foreign statistics': history(state | {'statistics_methods': {'max': method}}),
        'history with attributes': history(state | {'update': method}),
        'history of other lengths': history(state | {'_count_history': none}),
        'history without a state': new(*HISTORY),
        'attributes of a dict': build(call('collections', 'OrderedDict'), {'items': method}),
        'attributes of a class': build(history_class, (None, {'mean': method})),
        'attributes of a function': build(rebuild, (None, {'x': 1})),
        'memo that is empty': Op(b'j' + struct.pack('<I', 2**31)),
        'text of 4 GiB': Op(b'X' + struct.pack('<I', 2**32 - 1)),
        'bytes of 8 EiB': Op(b'\x8e' + struct.pack('<Q', 2**63 - 1)),
        'number of 2 GiB': Op(b'\x8b' + struct.pack('<i', 2**31 - 1)),
        'nothing on the stack': Op(b'R'),
        'tuple of nothing': Op(b't'),
        'protocol 5': Op(b'\x80\x05\x95' + struct.pack('<Q', 2**40)),
    }  # fmt: skip


def hostile_files(folder, mark: str) -> list:
    """Write the files, and others that are none of torch.save's; returns their paths."""
    good = file_of(tensor())
    command = call('os', 'system', f'touch {mark}')
    place = good.index(FEW)
    contents = {key: file_of(payload) for key, payload in payloads(mark).items()}
    contents |= {
        'legacy command': legacy(command),
        'legacy storage': legacy(Op(put(
            ('storage', name('torch', 'FloatStorage'), '0', 'cpu', 2**40, None)) + b'Q')),
        'legacy without keys': legacy(put({}), keys=('9',)),
        'pickle of Python': b'\x80\x02' + command + b'.',
        'flipped bit': good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :],
        'cut off': good[:-30],
        'something behind': good + b'x',
        'compressed': file_of(put(None), {'data/0': bytes(10**7)}, zipfile.ZIP_DEFLATED),
        'TorchScript': file_of(put(None), {'constants.pkl': b'\x80\x02).', 'code/a.py': b''}),
        'two archives': file_of(put(None), {'../other/data.pkl': b'N.'}),
        'record twice': file_of(put(None), {'data/0': FEW, 'DATA/0': FEW}),
        'tar': _tar(),
        'text': b'not a checkpoint\n',
        'nothing': b'',
        'number': file_of(b'').replace(b'state_dict', b'state_dicX'),
    }  # fmt: skip
    paths = []
    for number, (title, content) in enumerate(contents.items()):
        path = folder / f'{number:02}_{title.replace(" ", "_").replace(".", "_")}.pth'
        path.write_bytes(content)
        paths.append(path)
    return paths
