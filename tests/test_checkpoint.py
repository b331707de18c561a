"""Loading: nothing is executed, nothing crashes, whatever a file says and however it is named."""

import os
import pickle
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile import file_of, put, tensor
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import nn

from mmlt import checkpoint

ROOT = Path(checkpoint.__file__).parents[1]
WAYS = 17


@pytest.fixture(scope='module')
def tried(tmp_path_factory):
    """Every hostile file through every way, in a process of its own."""
    folder = tmp_path_factory.mktemp('hostile')
    mark = folder / 'was-here'
    done = subprocess.run(
        [sys.executable, 'tests/load_paths.py', str(folder), str(mark)],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = [line.split('|', 2) for line in done.stdout.splitlines() if line.count('|') >= 2]
    return done, mark, lines


def test_no_hostile_file_crashes_a_process_or_runs_in_it(tried):
    done, mark, lines = tried
    assert done.returncode == 0, (lines[-1:], done.stderr[-2000:])
    assert not mark.exists()
    ways = Counter(way for way, _, _ in lines)
    assert len(ways) == WAYS
    assert min(ways.values()) > 8
    assert ways['resume'] > 70
    assert int(done.stderr.split('peak MiB:')[1]) < 1500


def test_every_hostile_file_is_refused_in_one_line_with_its_name(tried):
    for way, name, error in tried[2]:
        assert error[1:-1] != 'loaded', (way, name)
        if way != 'torch.load':
            assert error[1:].startswith('CheckpointError: '), (way, name, error)
            assert r'\n' not in error, (way, name, error)
            assert name in error or 'the checkpoint' in error, (way, name, error)


def test_an_empty_file_is_called_empty(tmp_path):
    (tmp_path / 'zero.pth').touch()
    with pytest.raises(checkpoint.CheckpointError, match=r'zero.pth .*: it is empty \(0 bytes\)$'):
        checkpoint.load(tmp_path / 'zero.pth')


def test_a_config_inside_a_checkpoint_is_never_run(tmp_path):
    """mmengine's Runner.resume parses meta['config'] as a config file, which is Python."""
    mark = tmp_path / 'was-here'
    code = f'open({str(mark)!r}, "w")'
    torch.save({'state_dict': {}, 'meta': {'config': code, 'epoch': 1}}, tmp_path / 'evil.pth')
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'evil.pth'))
    assert loaded['meta'] == {'epoch': 1}


def whole() -> dict:
    """What training writes, one of each kind."""
    history = HistoryBuffer(max_length=100)
    for value in (0.5, 0.25):
        history.update(value)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 1, 5, 5)).sum().backward()
    optimizer.step()
    return {
        'meta': {'epoch': 2, 'dataset_meta': {'classes': ('a', 'b'), 'palette': np.eye(2)}},
        'state_dict': model.state_dict(),
        'half': [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.float16, torch.bool)],
        'view': torch.arange(12).reshape(3, 4).t()[1:],
        'parameter': nn.Parameter(torch.ones(3)),
        'optimizer': optimizer.state_dict(),
        'param_schedulers': [{'milestones': Counter({160: 1}), 'last_step': 3}],
        'message_hub': {
            'log_scalars': OrderedDict({'train/loss': history}),
            'runtime_info': OrderedDict(best=np.float32(31.5), n=np.int64(3), order=np.arange(6)),
            'fortran': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        },
        'kinds': [torch.float32, torch.Size([2, 3]), torch.device('cpu'), b'x\xff', {1, 2}, 1j],
    }


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
def test_what_training_writes_comes_back(tmp_path, zipped):
    path = tmp_path / 'whole.pth'
    torch.save(whole(), path, _use_new_zipfile_serialization=zipped)
    loaded, wanted = checkpoint.load(path), whole()
    assert loaded.keys() == wanted.keys()
    assert loaded['state_dict']._metadata == wanted['state_dict']._metadata
    for name in ('view', 'half', 'parameter'):
        torch.testing.assert_close(loaded[name], wanted[name], rtol=0, atol=0)
    assert loaded['optimizer']['state'].keys() == wanted['optimizer']['state'].keys()
    assert loaded['param_schedulers'] == wanted['param_schedulers']
    assert loaded['kinds'] == wanted['kinds']
    info = loaded['message_hub']['runtime_info']
    assert info['best'] == np.float32(31.5)
    assert info['n'] == 3
    for array, like in [
        (info['order'], np.arange(6)),
        (loaded['message_hub']['fortran'], np.arange(6.0).reshape(2, 3)),
        (loaded['meta']['dataset_meta']['palette'], np.eye(2)),
    ]:
        assert type(array) is np.ndarray
        assert array.dtype == like.dtype
        assert np.array_equal(array, like)
    history = loaded['message_hub']['log_scalars']['train/loss']
    assert type(history) is HistoryBuffer
    assert type(history.data[0]) is np.ndarray
    assert history.statistics('mean') == 0.375
    assert history.current() == 0.25
    # Saved anew it is what others load: no class of mmlt is inside.
    torch.save(loaded, tmp_path / 'again.pth')
    with zipfile.ZipFile(tmp_path / 'again.pth') as archive:
        assert b'mmlt' not in archive.read('again/data.pkl')


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path):
    torch.manual_seed(0)
    torch.save({'state_dict': {'weight': torch.randn(64, 64)}}, tmp_path / 'good.pth')
    good = (tmp_path / 'good.pth').read_bytes()
    generator = np.random.default_rng(0)
    for place in generator.integers(len(good), size=100):
        bad = bytearray(good)
        bad[place] ^= 1 << int(generator.integers(8))
        (tmp_path / 'bad.pth').write_bytes(bad)
        try:
            loaded = checkpoint.load(tmp_path / 'bad.pth')
        except checkpoint.CheckpointError:
            continue
        # Padding and dates hold no weights.
        weight = checkpoint.load(tmp_path / 'good.pth')['state_dict']['weight']
        assert loaded['state_dict']['weight'].equal(weight), place


def test_what_others_allow_torch_does_not_count_here(tmp_path):
    """onedl-mmengine allows a raw getattr while it loads."""
    path = tmp_path / 'evil.pth'
    path.write_bytes(file_of(put(None)))
    with torch.serialization.safe_globals([getattr, defaultdict]):
        torch.save({'meta': defaultdict(list)}, path)
        with pytest.raises(checkpoint.CheckpointError, match='defaultdict is nothing that'):
            checkpoint.load(path)
        assert getattr in torch.serialization.get_safe_globals()


class Backend:
    """A loader that asks for no safety, as mmengine 0.11's do."""

    def load_from_careless(filename, map_location=None):
        return torch.load(filename.removeprefix('careless://'), map_location, weights_only=False)


@pytest.fixture
def careless():
    CheckpointLoader.register_scheme('careless://', Backend.load_from_careless, force=True)
    yield 'careless://'
    del CheckpointLoader._schemes['careless://']


def test_a_backend_that_asks_for_everything_gets_weights(tmp_path, careless):
    mark = tmp_path / 'was-here'

    class Command:
        def __reduce__(self):
            return os.system, (f'touch {mark}',)

    torch.save({'meta': Command()}, tmp_path / 'evil.pth')
    with pytest.raises(checkpoint.CheckpointError, match='system is nothing that a checkpoint'):
        CheckpointLoader.load_checkpoint(f'{careless}{tmp_path}/evil.pth')
    assert not mark.exists()
    torch.save({'state_dict': {'a': torch.ones(2)}}, tmp_path / 'good.pth')
    loaded = CheckpointLoader.load_checkpoint(f'{careless}{tmp_path}/good.pth')
    assert loaded['state_dict']['a'].tolist() == [1, 1]
    assert torch.load.__module__ == 'torch.serialization'


def test_one_file_can_be_trusted_by_name(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(checkpoint, '_trusted', set())
    for name in ('mine.pth', 'other.pth'):
        torch.save({'meta': Path('old')}, tmp_path / name)
    checkpoint.trust(tmp_path / 'mine.pth')
    for load in (checkpoint.load, lambda path: CheckpointLoader.load_checkpoint(str(path))):
        assert load(tmp_path / 'mine.pth') == {'meta': Path('old')}
        with pytest.raises(checkpoint.CheckpointError, match='nothing that a checkpoint needs'):
            load(tmp_path / 'other.pth')


def test_what_is_no_file_and_what_is_no_dict(tmp_path):
    for name in ('nowhere.pth', ''):
        with pytest.raises(FileNotFoundError, match='does not exist or is no file'):
            CheckpointLoader.load_checkpoint(str(tmp_path / name))
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(checkpoint.CheckpointError, match='it holds a list'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'list.pth'))


def test_the_good_neighbour_of_the_hostile_files_loads(tmp_path):
    """So that they are refused for what they say, not for how they are written."""
    (tmp_path / 'good.pth').write_bytes(file_of(tensor(4, 1, (3,), (1,))))
    assert checkpoint.load(tmp_path / 'good.pth')['meta'].tolist() == [2, 3, 4]


def test_a_plain_torch_load_refuses_what_numpy_would_believe(tmp_path):
    torch.save({'a': np.array([object()])}, tmp_path / 'objects.pth')
    with pytest.raises(pickle.UnpicklingError, match='numpy data of type'):
        torch.load(tmp_path / 'objects.pth', weights_only=True)


def test_the_tools_trust_a_file_by_a_flag(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, '_trusted', set())
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.syspath_prepend(ROOT / 'tools')
    from _cli import base_parser, load_config

    config = str(ROOT / 'configs/bce3s/resnet20_digits-lt.py')
    words = [config, '--trust-checkpoint', str(tmp_path / 'mine.pth')]
    load_config(base_parser('').parse_args(words))
    torch.save({'meta': Path('old')}, tmp_path / 'mine.pth')
    assert checkpoint.load(tmp_path / 'mine.pth') == {'meta': Path('old')}
    assert 'runs whatever the file says' in ' '.join(base_parser('').format_help().split())
