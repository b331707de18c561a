"""Runs that are killed at any moment: nothing is lost, and the end is that of the unbroken run.

``pytest tests/engine/test_kills.py --kills 100`` for more.
"""

import os
import random
import signal
import time

import pytest
import torch
from tiny_run import same, tiny_run, weights

from mmlt.engine.hooks import Stopped
from mmlt.engine.work_dir import find_resumable

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
EPOCHS = 4
HOOKS = {'checkpoint': {
    'type': 'SafeCheckpointHook', 'interval': 1, 'max_keep_ckpts': 1, 'save_best': 'score',
    'rule': 'greater',
}}  # fmt: skip


def train(folder) -> None:
    path, _ = find_resumable(folder)
    tiny_run(folder, EPOCHS, load_from=path, resume=path is not None, hooks=HOOKS).train()


def start(folder) -> int:
    """The run in a process of its own that need not import anything."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        try:
            train(folder)
        except Stopped as stopped:
            os._exit(stopped.code)
        finally:
            os._exit(0)
    return child


def end_of(child: int, block=True) -> int | None:
    pid, status = os.waitpid(child, 0 if block else os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def wait_for_a_write(folder, child) -> None:
    """Until a checkpoint is being written, or the run has ended."""
    for _ in range(20_000):
        if folder.is_dir() and any('.tmp' in name for name in os.listdir(folder)):
            return
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.0002)


def epoch_of(folder) -> int:
    path, skipped = find_resumable(folder)
    assert skipped == []  # no file is half written
    return 0 if path is None else torch.load(path, weights_only=True)['meta']['iter']


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='kills are those of POSIX')
def test_killed_anywhere_it_ends_in_the_weights_of_an_unbroken_run(request, tmp_path):
    begin = time.monotonic()
    child = start(tmp_path / 'unbroken')
    assert end_of(child) == 0
    duration = time.monotonic() - begin
    wanted = weights(tmp_path / 'unbroken' / f'epoch_{EPOCHS}.pth')
    draw = random.Random(0)
    kills, runs, trained = 0, 0, 0
    while kills < request.config.getoption('--kills'):
        folder = tmp_path / f'run-{runs}'
        child = start(folder)
        if draw.random() < 0.5:
            wait_for_a_write(folder, child)
        else:
            time.sleep(draw.uniform(0, duration))
        signum = draw.choice(SIGNALS)
        os.kill(child, signum)  # is there until it is waited for
        status = end_of(child)
        assert status in (0, -signum, 128 + signum), signum
        kills += status != 0
        now = epoch_of(folder)
        assert now >= trained, 'a checkpoint was lost'
        trained = now
        if trained == EPOCHS * 7 and status == 0:
            runs, trained = runs + 1, 0
            assert same(weights(folder / f'epoch_{EPOCHS}.pth'), wanted)
            assert not [n for n in os.listdir(folder) if 'tmp' in n or 'interrupted' in n]
    # The last one is finished too.
    folder = tmp_path / f'run-{runs}'
    assert end_of(start(folder)) == 0
    assert same(weights(folder / f'epoch_{EPOCHS}.pth'), wanted)
    left = sorted(name for name in os.listdir(folder) if '.pth' in name)
    assert left[1:] == [f'epoch_{EPOCHS}.pth']
    assert left[0].startswith('best_score_epoch_')
