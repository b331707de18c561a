"""SafeCheckpointHook does what its parent does, and loses nothing when it is killed."""

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric
from mmengine.fileio import LocalBackend
from mmengine.fileio.backends import backends, register_backend
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from tiny_run import tiny_run
from torch import nn

from mmlt.engine.hooks.safe_checkpoint_hook import SafeCheckpointHook, SafeLocalBackend

SCORES = [0.3, 0.5, 0.4, 0.6, 0.2]  # of epochs 1 to 5
SAVE_BEST = {'save_best': 'score', 'rule': 'greater'}
OPTIONS = {
    'defaults': {},
    'one kept': {'max_keep_ckpts': 1},
    'two kept': {'max_keep_ckpts': 2},
    'best': SAVE_BEST,
    'one kept and best': {'max_keep_ckpts': 1, **SAVE_BEST},
    'two bests': {'max_keep_ckpts': 1, 'save_best': ['score', 'loss'], 'rule': ['greater', 'less']},
    'best alone': {'interval': -1, 'save_last': False, **SAVE_BEST},
    'every second, without optimizer': {'interval': 2, 'save_optimizer': False, **SAVE_BEST},
    'by iteration': {'by_epoch': False, 'interval': 3, 'max_keep_ckpts': 2},
    'other name': {'filename_tmpl': 'state-{}.pth', 'max_keep_ckpts': 1},
    'published': {'published_keys': ['meta', 'state_dict'], **SAVE_BEST},
}


class OneWeight(BaseModel):
    """The smallest model that trains."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, inputs, mode='loss'):
        outputs = self.linear(inputs)
        return {'loss': outputs.square().mean()} if mode == 'loss' else [outputs]


class GivenScore(BaseMetric):
    """Scores that do not depend on the model: SCORES, epoch after epoch."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        score = SCORES[MessageHub.get_current_instance().get_info('epoch')]
        return {'score': score, 'loss': score}


def build(work_dir, hook='SafeCheckpointHook', epochs=3, resume=False, **options):
    def loader(size):
        return {
            'dataset': [{'inputs': torch.ones(1)}] * size,
            'sampler': {'type': DefaultSampler, 'shuffle': False},
            'collate_fn': {'type': 'default_collate'},
        }

    torch.manual_seed(0)
    return Runner(
        model=OneWeight(),
        work_dir=str(work_dir),
        train_dataloader=loader(2),
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        val_dataloader=loader(1),
        val_cfg={},
        val_evaluator={'type': GivenScore},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}},
        default_hooks={'checkpoint': {'type': hook, 'interval': 1, **options}},
        default_scope='mmpretrain',
        resume=resume,
        experiment_name=uuid.uuid4().hex,  # runners of one second would share their logs
        log_level='ERROR',
    )


def checkpoints(folder):
    return sorted(path.name for path in Path(folder).glob('*.pth*'))


def last_checkpoint(folder):
    return Path((Path(folder) / 'last_checkpoint').read_text())


def best_checkpoints(runtime_info):
    return [path for key, path in runtime_info.items() if key.startswith('best_ckpt')]


class Killed(BaseException):
    """Stands for the end of the process: nothing that touches the disk works after it."""


class Disk:
    """Counts the calls that change the disk, and ends the process at one of them."""

    def __init__(self, monkeypatch, kill_at=None):
        self.calls, self.kill_at = 0, kill_at
        for name in ('fsync', 'replace', 'remove'):
            monkeypatch.setattr(os, name, self.watched(name, getattr(os, name)))

    def watched(self, name, call):
        def wrapper(target, *args):
            if self.kill_at is not None and self.calls >= self.kill_at:
                if name == 'fsync' and os.path.isfile(f'/proc/self/fd/{target}'):
                    os.ftruncate(target, os.fstat(target).st_size // 2)
                raise Killed
            self.calls += 1
            return call(target, *args)

        return wrapper


@pytest.mark.parametrize('options', OPTIONS.values(), ids=OPTIONS.keys())
def test_it_leaves_the_files_of_its_parent(tmp_path, options):
    hubs = {}
    for hook in ('CheckpointHook', 'SafeCheckpointHook'):
        runner = build(tmp_path / hook, hook, epochs=5, **options)
        runner.train()
        hubs[hook] = runner.message_hub.runtime_info.get('keep_ckpt_ids')
    parent, safe = (tmp_path / hook for hook in hubs)

    def names(folder):  # the digest in a published name depends on the time of writing
        return [name if '-' not in name else name[:-12] for name in checkpoints(folder)]

    if 'filename_tmpl' in options:
        assert checkpoints(safe) == checkpoints(parent) == ['state-5.pth']
    assert names(safe) == names(parent)
    assert names(safe)
    assert hubs['SafeCheckpointHook'] == hubs['CheckpointHook']
    assert (safe / 'last_checkpoint').exists() == (parent / 'last_checkpoint').exists()
    if (parent / 'last_checkpoint').exists():
        assert last_checkpoint(safe).name == last_checkpoint(parent).name
        assert last_checkpoint(safe).parent == safe
    for name in checkpoints(safe):
        ours, theirs = torch.load(safe / name), None
        if (parent / name).exists():
            theirs = torch.load(parent / name)
            assert ours.keys() == theirs.keys()
            torch.testing.assert_close(ours['state_dict'], theirs['state_dict'])


def test_resuming_goes_on_with_the_same_count(tmp_path):
    build(tmp_path, epochs=3, max_keep_ckpts=2, **SAVE_BEST).train()
    assert checkpoints(tmp_path) == ['best_score_epoch_2.pth', 'epoch_2.pth', 'epoch_3.pth']
    build(tmp_path, epochs=5, resume=True, max_keep_ckpts=2, **SAVE_BEST).train()
    assert checkpoints(tmp_path) == ['best_score_epoch_4.pth', 'epoch_4.pth', 'epoch_5.pth']


def test_a_best_checkpoint_written_again_under_its_own_name_stays(tmp_path):
    runner = build(tmp_path, epochs=2, **SAVE_BEST)
    runner.train()
    best = tmp_path / 'best_score_epoch_2.pth'
    assert torch.load(best)['message_hub']['runtime_info']['best_score'] == SCORES[1]
    hook = next(hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook))
    hook.after_val_epoch(runner, {'score': 0.9})  # as when the same epoch is validated again
    assert torch.load(best)['message_hub']['runtime_info']['best_score'] == 0.9


def test_another_folder(tmp_path):
    build(tmp_path / 'work' / 'run', out_dir=str(tmp_path / 'out'), max_keep_ckpts=1).train()
    assert checkpoints(tmp_path / 'out' / 'run') == ['epoch_3.pth']
    assert last_checkpoint(tmp_path / 'work' / 'run') == tmp_path / 'out' / 'run' / 'epoch_3.pth'


@pytest.mark.parametrize('name', ['one kept', 'two bests'])
def test_whenever_it_is_killed_training_goes_on(tmp_path, monkeypatch, name):
    options = {'epochs': 2, **OPTIONS[name]}
    with monkeypatch.context() as patch:
        disk = Disk(patch)
        build(tmp_path / 'clean', **options).train()
    expected = checkpoints(tmp_path / 'clean')
    assert disk.calls > 12  # two epochs of two files: each synced, renamed, its folder synced

    for kill_at in range(disk.calls):
        folder = tmp_path / f'killed-at-{kill_at}'
        with monkeypatch.context() as patch:
            Disk(patch, kill_at)
            with pytest.raises(Killed):
                build(folder, **options).train()
        if kill_at >= 6:  # the first epoch's checkpoint and its last_checkpoint are complete
            assert last_checkpoint(folder).is_file(), kill_at
        if (folder / 'last_checkpoint').exists():
            checkpoint = torch.load(last_checkpoint(folder))
            assert checkpoint['meta']['epoch'] >= 1
            for path in best_checkpoints(checkpoint['message_hub']['runtime_info']):
                assert 'state_dict' in torch.load(path), kill_at
        resumed = build(folder, resume=True, **options)
        resumed.train()
        assert resumed.epoch == 2
        # A file that was no longer needed may be left over; none may be missing. Which one is
        # best may differ: an epoch that was cut off before its validation has no score.
        present = checkpoints(folder)
        assert {name for name in expected if not name.startswith('best')} <= set(present), kill_at
        for path in best_checkpoints(resumed.message_hub.runtime_info):
            assert 'state_dict' in torch.load(path), kill_at


def test_a_failed_write_is_reported_and_leaves_nothing_behind(tmp_path, monkeypatch):
    build(tmp_path, epochs=1, max_keep_ckpts=1).train()
    whole = (tmp_path / 'epoch_1.pth').read_bytes()

    def full(fd):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        build(tmp_path, epochs=2, resume=True, max_keep_ckpts=1).train()
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    assert (tmp_path / 'epoch_1.pth').read_bytes() == whole
    assert last_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth'


KILLED_PROCESS = """
import os, signal, sys
sys.path[:0] = [os.environ['TESTS'], os.environ['REPO']]
from test_safe_checkpoint_hook import build

fsync = os.fsync
def fsync_or_die(fd):
    if any(name.startswith('epoch_2.pth.') for name in os.listdir(os.environ['WORK_DIR'])):
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(fd)
os.fsync = fsync_or_die
build(os.environ['WORK_DIR'], max_keep_ckpts=1).train()
"""


@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='SIGKILL is a POSIX signal')
def test_a_killed_process_leaves_a_checkpoint_to_resume_from(tmp_path):
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, '-c', KILLED_PROCESS],
        env={
            **os.environ,
            'REPO': str(here.parents[1]),
            'TESTS': str(here),
            'WORK_DIR': str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    names = checkpoints(tmp_path)
    assert len(names) == 2
    assert names[0] == 'epoch_1.pth'
    assert re.fullmatch(r'epoch_2\.pth\.[0-9a-f]{8}\.tmp', names[1])
    assert last_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth'
    resumed = build(tmp_path, resume=True, max_keep_ckpts=1)
    resumed.train()
    assert resumed.epoch == 3
    assert checkpoints(tmp_path) == ['epoch_3.pth']


class CountingBackend(LocalBackend):
    """Some other storage, which decides for itself how it writes."""

    written = []

    def put(self, obj, filepath):
        self.written.append(Path(filepath).name)
        super().put(obj, filepath)


@pytest.fixture
def counting_backend():
    register_backend('counting', CountingBackend)
    CountingBackend.written.clear()
    yield CountingBackend
    del backends['counting']


def test_other_storage_keeps_the_behaviour_of_the_parent(tmp_path, counting_backend):
    build(tmp_path, max_keep_ckpts=1, backend_args={'backend': 'counting'}).train()
    assert counting_backend.written == ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']
    assert checkpoints(tmp_path) == ['epoch_3.pth']
    assert last_checkpoint(tmp_path) == tmp_path / 'epoch_3.pth'


def test_the_backend_removes_checkpoints_of_its_folder_alone(tmp_path):
    backend = SafeLocalBackend()
    inside, outside = tmp_path / 'run', tmp_path / 'other'
    stay = [outside / 'epoch_1.pth', inside / 'notes.txt', inside / 'epoch_2.pth' / 'file']
    go = [inside / 'epoch_1.pth', inside / 'best_shot_all_epoch_3.pth']
    for path in stay + go:
        backend.put(b'whole', str(path))
        backend.remove(str(path if path.name != 'file' else path.parent))
    backend.remove(str(inside / '..' / 'other' / 'epoch_1.pth'))
    backend.remove(str(inside / 'epoch_9.pth'))  # is gone
    backend.rmtree(str(outside))
    assert all(path.read_bytes() == b'whole' for path in stay + go)
    backend.clean_up(str(inside))
    assert all(path.exists() for path in stay)
    assert not any(path.exists() for path in go)
    assert backend.outdated == []


def test_a_second_hook_keeps_its_files_whatever_the_first_one_removes(tmp_path):
    folder, kept = tmp_path / 'run', tmp_path / 'kept'
    keep = {'type': 'SafeCheckpointHook', 'interval': 3, 'save_last': False, 'out_dir': str(kept)}
    first = {'type': 'SafeCheckpointHook', 'interval': 1, 'max_keep_ckpts': 2}
    options = {'hooks': {'checkpoint': first}, 'custom_hooks': [keep]}
    tiny_run(folder, epochs=5, **options).train()
    assert checkpoints(folder) == ['epoch_4.pth', 'epoch_5.pth']
    # In the checkpoint of epoch 5, epoch 3 is what was to go: the first one's, not the kept one.
    assert last_checkpoint(folder) == folder / 'epoch_5.pth'
    tiny_run(folder, epochs=6, resume=True, **options).train()
    assert checkpoints(folder) == ['epoch_5.pth', 'epoch_6.pth']
    assert last_checkpoint(folder) == folder / 'epoch_6.pth'
    assert checkpoints(kept / 'run') == ['epoch_3.pth', 'epoch_6.pth']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'save_best': 'score', 'rule': 'less', 'out_dir': 'kept'},
            r"save_best=\['score'\] belongs to the first",
        ),
        ({'max_keep_ckpts': 2, 'out_dir': 'kept'}, 'max_keep_ckpts=2 belongs to the first'),
        ({}, 'out_dir=.* belongs to the first'),
    ],
)
def test_what_belongs_to_the_first_hook_is_refused_in_a_second(options, message, tmp_path):
    second = {'type': 'SafeCheckpointHook', 'interval': 1, **options}
    with pytest.raises(ValueError, match=message):
        tiny_run(tmp_path, custom_hooks=[second]).train()


def test_files_with_numbers_of_another_form_are_this_runs_too(tmp_path):
    hook = {'type': 'SafeCheckpointHook', 'interval': 1, 'max_keep_ckpts': 2}
    hook['filename_tmpl'] = 'epoch_{:03d}.pth'
    tiny_run(tmp_path, epochs=4, hooks={'checkpoint': hook}).train()
    assert checkpoints(tmp_path) == ['epoch_003.pth', 'epoch_004.pth']
    tiny_run(tmp_path, epochs=5, resume=True, hooks={'checkpoint': hook}).train()
    assert checkpoints(tmp_path) == ['epoch_004.pth', 'epoch_005.pth']


def test_epochs_in_a_run_that_counts_iterations_are_refused(tmp_path):
    by_iterations = {'train_cfg': {'by_epoch': False, 'max_iters': 3}}
    with pytest.raises(ValueError, match=r'would write one file, at its end: set .*by_epoch=False'):
        tiny_run(tmp_path, **by_iterations).train()
    hook = {'type': 'SafeCheckpointHook', 'interval': 1, 'by_epoch': False}
    tiny_run(tmp_path, hooks={'checkpoint': hook}, **by_iterations).train()
    assert checkpoints(tmp_path) == ['iter_1.pth', 'iter_2.pth', 'iter_3.pth']
