"""Every fix of ``mmlt.compat``, seen through the part of mmengine or mmpretrain that it mends."""

import builtins
import functools
import os
import pickle
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmlt import checkpoint, compat

REPO = Path(compat.__file__).parents[1]


class TinyModel(BaseModel):
    """Two linear layers; remembers the type the second one computed in."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))

    def forward(self, inputs, labels, mode='loss'):
        logits = self.layers(inputs)
        self.compute_dtype = logits.dtype
        if mode == 'predict':
            return [logits]
        return {'loss': nn.functional.cross_entropy(logits, labels)}


class Float32Metric(BaseMetric):
    """A score of numpy's float32, as a metric over a float32 model gives it."""

    default_prefix = 'tiny'

    def process(self, data_batch, data_samples):
        self.results.append(1.0)

    def compute_metrics(self, results):
        return {'acc': np.float32(np.mean(results))}


def tiny_runner(work_dir, **options):
    generator = torch.Generator().manual_seed(0)
    samples = [
        {'inputs': torch.randn(3, generator=generator), 'labels': torch.tensor(i % 2)}
        for i in range(8)
    ]
    loader = {
        'dataset': samples,
        'sampler': {'type': DefaultSampler, 'shuffle': False},
        'batch_size': 4,
        'collate_fn': {'type': 'default_collate'},
    }
    settings = {
        'model': TinyModel(),
        'work_dir': str(work_dir),
        'train_dataloader': loader,
        'train_cfg': {'by_epoch': True, 'max_epochs': 1},
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}},
        'experiment_name': uuid.uuid4().hex,  # runners of one second would share their logs
        'log_level': 'ERROR',
    }
    return Runner(**{**settings, **options})


def save_untrusted(path, *steps):
    """Write a file as torch.save would, around a pickle that names ``getattr`` itself."""

    class Lookup:
        def __reduce__(self):
            return builtins.getattr, steps

    torch.save({'payload': Lookup()}, path)
    return path


# Checkpoints


def test_a_checkpoint_of_a_runner_loads_with_weights_only(tmp_path):
    runner = tiny_runner(
        tmp_path,
        val_dataloader={
            'dataset': [{'inputs': torch.zeros(3), 'labels': torch.tensor(0)}],
            'sampler': {'type': DefaultSampler, 'shuffle': False},
            'collate_fn': {'type': 'default_collate'},
        },
        val_cfg={},
        val_evaluator={'type': Float32Metric},
        param_scheduler={'type': 'CosineAnnealingLR', 'T_max': 1},
        custom_hooks=[{'type': 'EMAHook'}],
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'save_best': 'tiny/acc'}},
    )
    runner.train()

    checkpoint = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.statistics('mean') == runner.message_hub.get_scalar('train/loss').mean()
    assert checkpoint['message_hub']['runtime_info']['best_score'] == np.float32(1)

    resumed = tiny_runner(tmp_path, resume=True, train_cfg={'by_epoch': True, 'max_epochs': 2})
    resumed.train()
    assert resumed.epoch == 2
    assert len(resumed.message_hub.get_scalar('train/loss').data[0]) == 4


@pytest.mark.parametrize('core', ['numpy._core', 'numpy.core'])
def test_arrays_written_under_either_numpy_load(tmp_path, core):
    path = tmp_path / 'array.pth'
    torch.save({'a': np.arange(3), 's': np.float64(1.5)}, path, pickle_protocol=2)
    written = path.read_bytes()
    native = b'numpy._core' if b'numpy._core' in written else b'numpy.core'
    # Opcode 'c' reads a module name up to the newline, so its length may change; the archive
    # may not, hence the legacy format, one bare pickle after another.
    torch.save(
        {'a': np.arange(3), 's': np.float64(1.5)}, path, _use_new_zipfile_serialization=False
    )
    path.write_bytes(path.read_bytes().replace(native, core.encode()))
    loaded = torch.load(path, weights_only=True)
    assert loaded['a'].tolist() == [0, 1, 2]
    assert loaded['s'] == 1.5


@pytest.mark.parametrize(
    'steps',
    [
        (HistoryBuffer, '__init__'),
        (HistoryBuffer, '__subclasses__'),
        (HistoryBuffer, 'register_statistics'),
        (HistoryBuffer, '_statistics_methods'),
        (HistoryBuffer, 'min', None),
        (np.ndarray, 'tofile'),
        (np.ndarray, 'min'),
        (torch.Tensor, 'min'),
        ('text', 'format'),
    ],
)
def test_a_checkpoint_cannot_look_up_anything_else(tmp_path, steps):
    path = save_untrusted(tmp_path / 'evil.pth', *steps)
    with pytest.raises((pickle.UnpicklingError, TypeError)):
        torch.load(path, weights_only=True)


def test_a_checkpoint_cannot_run_a_command(tmp_path):
    """The chain that a raw getattr on the list would open: method -> globals -> os.system."""
    mark = tmp_path / 'was-here'

    class Globals:
        def __reduce__(self):
            return builtins.getattr, (HistoryBuffer.min, '__globals__')

    class Command:
        def __reduce__(self):
            return os.system, (f'touch {mark}',)

    for payload in (Globals(), Command()):
        torch.save(payload, tmp_path / 'evil.pth')
        with pytest.raises(pickle.UnpicklingError):
            torch.load(tmp_path / 'evil.pth', weights_only=True)
    assert not mark.exists()


def test_raw_getattr_is_not_on_the_list():
    allowed = [
        entry[0] if isinstance(entry, tuple) else entry
        for entry in torch.serialization.get_safe_globals()
    ]
    assert builtins.getattr not in allowed
    assert np.ndarray not in allowed


# Mixed precision and several processes


def test_amp_trains_in_bfloat16(tmp_path):
    runner = tiny_runner(
        tmp_path,
        optim_wrapper={
            'type': 'AmpOptimWrapper',
            'dtype': 'bfloat16',
            'loss_scale': 'dynamic',
            'optimizer': {'type': 'SGD', 'lr': 0.1},
            'clip_grad': {'max_norm': 1.0},
        },
    )
    before = runner.model.layers[0].weight.detach().clone()
    runner.train()
    after = runner.model.layers[0].weight
    assert runner.model.compute_dtype == torch.bfloat16
    assert after.dtype == torch.float32
    assert torch.isfinite(after).all()
    assert not torch.equal(before.to(after.device), after)


PROCESS = """
import os, sys
sys.path[:0] = [os.environ['TESTS'], os.environ['REPO']]
from mmlt import compat  # its import alone must be enough
import torch
from test_compat import tiny_runner

own_cfg = {'type': 'MMDistributedDataParallel', 'broadcast_buffers': False}
runner = tiny_runner(
    os.environ['WORK_DIR'],
    launcher='pytorch',
    env_cfg={'dist_cfg': {'backend': 'nccl'}},
    cfg={'model_wrapper_cfg': own_cfg} if os.environ['OWN_CFG'] == '1' else {},
)
assert torch.distributed.get_backend() == 'gloo'
assert runner.world_size == 2
assert type(runner.model).__name__ == 'MMDistributedDataParallel'
assert runner.model.device_ids is None and not runner.model.broadcast_buffers
before = runner.model.module.layers[0].weight.detach().clone()
runner.train()
assert not torch.equal(before, runner.model.module.layers[0].weight)
torch.save(runner.model.module.state_dict(), os.environ['WORK_DIR'] + f'/rank{runner.rank}.pt')
"""


def test_two_processes_train_on_cpu_and_stay_equal(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        'CUDA_VISIBLE_DEVICES': '',
        'MASTER_ADDR': '127.0.0.1',
        'MASTER_PORT': str(port),
        'OMP_NUM_THREADS': '1',
        'REPO': str(REPO),
        'TESTS': str(Path(__file__).parent),
        'WORK_DIR': str(tmp_path),
        'WORLD_SIZE': '2',
    }
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', PROCESS],
            # One rank takes mmengine's default wrapper and the other a configured one.
            env={**environment, 'RANK': str(rank), 'LOCAL_RANK': str(rank), 'OWN_CFG': str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], '\n'.join(outputs)
    first, second = (torch.load(tmp_path / f'rank{rank}.pt') for rank in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


# numpy 2 and matplotlib


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('hue', [-0.5, -0.1, -0.001, 0.0, 0.1, 0.5])
def test_hue_turns_both_ways(backend, hue):
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    turned = mmcv.adjust_hue(image, hue, backend=backend)
    assert turned.dtype == np.uint8
    assert turned.shape == image.shape
    # An independent reference: the same wheel, turned through OpenCV by hand.
    if backend == 'cv2':
        import cv2

        wheel = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL).astype(int)
        wheel[..., 0] = (wheel[..., 0] + int(hue * 255)) % 256
        expected = cv2.cvtColor(wheel.astype(np.uint8), cv2.COLOR_HSV2BGR_FULL)
        np.testing.assert_array_equal(turned, expected)
    with pytest.raises(ValueError, match='hue_factor'):
        mmcv.adjust_hue(image, -0.6, backend=backend)


def test_color_jitter_with_hue_runs_for_many_draws():
    from mmpretrain.datasets import ColorJitter

    np.random.seed(0)  # mmcv's transforms draw from the global generator
    jitter = ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.5)
    image = np.random.randint(0, 256, (8, 8, 3), np.uint8)
    results = [jitter({'img': image})['img'] for _ in range(50)]
    assert all(result.dtype == np.uint8 for result in results)
    assert len({result.tobytes() for result in results}) > 40


def test_retrieval_metrics_run():
    from mmpretrain.evaluation import RetrievalAveragePrecision, RetrievalRecall

    scores = torch.tensor([[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]])
    target = [[1], [2]]
    recall = RetrievalRecall.calculate(scores, target, topk=1, target_indices=True)[0]
    assert float(recall) == 50
    # Ranks 2 and 1: (1/2 + 1) / 2.
    precision = RetrievalAveragePrecision.calculate(scores, target, topk=3, target_indices=True)
    assert float(precision) == pytest.approx(75)


def test_numpy_itself_is_not_changed():
    from mmpretrain.evaluation.metrics import retrieval

    assert hasattr(retrieval.np, 'in1d')
    assert retrieval.np is np or not hasattr(np, 'in1d')
    assert retrieval.np.isin is np.isin


# The module as a whole


def test_applying_twice_changes_nothing():
    import mmengine.dist.utils as dist_utils
    from mmengine.model import MMDistributedDataParallel
    from mmengine.optim.optimizer import amp_optimizer_wrapper
    from mmpretrain.evaluation.metrics import retrieval

    def state():
        return (
            set(torch.serialization.get_safe_globals()),
            amp_optimizer_wrapper.is_cuda_available,
            dist_utils._init_dist_pytorch,
            MMDistributedDataParallel.__init__,
            mmcv.adjust_hue,
            mmcv.image.adjust_hue,
            retrieval.np,
        )

    compat.apply()
    once = state()
    compat.apply()
    assert state() == once


def test_the_text_of_a_config_is_formatted_once_and_follows_a_change():
    """Every checkpoint asks for it; a config that was changed must not get the old text."""
    cfg = Config(dict(model=dict(type='A', width=3), lr=0.1))
    first = cfg.pretty_text
    assert cfg.pretty_text == first
    cfg.lr = 0.2
    assert cfg.pretty_text == first.replace('lr = 0.1', 'lr = 0.2') != first


def test_only_what_is_new_is_formatted():
    calls = []

    def form(text, style):
        calls.append((text, style))
        return text.upper() + style, True

    once = compat._remember_texts(form, most=2)
    for _ in range(3):
        assert once('a', style='x') == ('Ax', True)
        assert once('a', style='y') == ('Ay', True)
    assert calls == [('a', 'x'), ('a', 'y')]
    once('b', style='x')
    assert once('a', style='x') == ('Ax', True)
    assert len(calls) == 4  # no more than two are kept


def test_a_loader_that_another_plugin_has_wrapped_is_put_under_ours_too(tmp_path, monkeypatch):
    """A function that has a ``__wrapped__`` need not be a mend."""

    @classmethod
    @functools.wraps(checkpoint._torch_load)
    def theirs(cls, filename, map_location=None, logger='current'):
        return torch.load(filename, map_location, weights_only=False)

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', theirs)
    checkpoint.install()
    with pytest.raises(FileNotFoundError, match='checkpoint nowhere does not exist'):
        CheckpointLoader.load_checkpoint('nowhere')
    ours = CheckpointLoader.__dict__['load_checkpoint']
    checkpoint.install()
    assert CheckpointLoader.__dict__['load_checkpoint'] is ours  # once is enough
