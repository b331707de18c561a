"""Commands that are stopped or left alone: no child outlives them, nothing is lost."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from test_train_and_test import CONFIG, ROOT, SHORT, environment, train

FOREVER = ['train_cfg.max_epochs=5000', 'train_cfg.val_interval=5000', 'custom_hooks=[]']


def start(words, **options) -> subprocess.Popen:
    return subprocess.Popen(
        words, cwd=ROOT, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL,
        **{'stdout': subprocess.DEVNULL, **options},
    )  # fmt: skip


def wait_for(condition, what: str, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def members(group: int) -> list[str]:
    """Commands of the processes of a process group that have not ended."""
    listed = subprocess.run(['ps', '-eo', 'pgid,stat,args'], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    return [args for pgid, stat, args in rows if int(pgid) == group and stat[0] != 'Z']


def launch(work_dir, kind: str) -> list[str]:
    flags = ['--work-dir', str(work_dir), '--cfg-options', *FOREVER]
    if kind == 'launcher':
        return ['tools/dist_train.sh', CONFIG, '2', *flags]
    if kind == 'train':
        return [sys.executable, 'tools/train.py', CONFIG, *flags]
    flags[2:3] = ['--stage1-options']
    return [sys.executable, 'tools/train_two_stage.py', CONFIG, CONFIG, *flags]


CASES = [
    ('train', signal.SIGTERM),
    ('train', signal.SIGINT),
    ('two stages', signal.SIGKILL),
    ('two stages', signal.SIGINT),
    ('two stages', signal.SIGHUP),
    ('launcher', signal.SIGKILL),
]


@pytest.mark.skipif(sys.platform != 'linux', reason='the system tells children on Linux alone')
@pytest.mark.parametrize(('kind', 'signum'), CASES, ids=lambda value: getattr(value, 'name', value))
def test_no_child_outlives_a_command(kind, signum, tmp_path):
    run = start(launch(tmp_path, kind))
    folder = tmp_path / 'stage1' if kind == 'two stages' else tmp_path
    wait_for((folder / 'last_checkpoint').exists, 'no checkpoint was written')
    os.kill(run.pid, signum)  # the command alone, not its group
    assert run.wait(60) == -signum
    wait_for(lambda: not members(run.pid), f'still running: {members(run.pid)}', 60)
    if signum != signal.SIGKILL or kind == 'two stages':
        assert re.search('interrupted_epoch|epoch', (folder / 'last_checkpoint').read_text())
        checkpoint = folder / (folder / 'last_checkpoint').read_text().rsplit('/', 1)[-1]
        assert checkpoint.is_file()


def test_a_run_goes_on_when_the_reader_of_its_log_leaves(tmp_path):
    flags = ['--work-dir', str(tmp_path), '--no-validate', '--cfg-options', *SHORT]
    words = [sys.executable, 'tools/train.py', CONFIG, *flags]
    run = start(words, stdout=subprocess.PIPE)
    run.stdout.readline()
    run.stdout.close()
    assert run.wait(240) == 0
    assert (tmp_path / 'epoch_3.pth').is_file()


def test_a_loss_that_is_no_number_ends_in_one_line(tmp_path):
    result = train(tmp_path, options=['optim_wrapper.optimizer.lr=1e30'])
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith('error: the loss is not finite in epoch 1, iteration ')
    assert 'learning rate 1e+30' in line
    assert 'Traceback' not in result.stderr
    assert 'many' not in result.stdout  # no table


def test_a_hostile_checkpoint_ends_in_one_line(tmp_path):
    mark, path = tmp_path / 'was-here', tmp_path / 'evil.pth'

    class Command:
        def __reduce__(self):
            return os.system, (f'touch {mark}',)

    torch.save({'meta': Command()}, path)
    result = train(tmp_path / 'run', '--resume', str(path))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f'error: {path} cannot be loaded: ')
    assert 'Traceback' not in result.stderr
    assert not mark.exists()
