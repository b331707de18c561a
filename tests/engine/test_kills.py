"""Runs that are killed at any moment: nothing is lost, and the end is that of the unbroken run.

``pytest tests/engine/test_kills.py --kills 100`` for more.
"""

import os
import random
import signal
import time

import pytest
import torch
from forked import fork, status_of
from tiny_run import same, tiny_run, weights

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
    if path and not (folder / 'last_checkpoint').exists():
        # Killed between the first checkpoint and the note of it: it is found by its name.
        assert os.path.basename(path) == 'epoch_1.pth'
        assert len(skipped) == 1
        assert 'last_checkpoint is missing' in skipped[0]
    else:
        assert skipped == []  # no file is half written
    return 0 if path is None else torch.load(path, weights_only=True)['meta']['iter']


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='kills are those of POSIX')
def test_killed_anywhere_it_ends_in_the_weights_of_an_unbroken_run(request, tmp_path):
    begin = time.monotonic()
    child = fork(train, tmp_path / 'unbroken')
    assert status_of(child) == 0
    duration = time.monotonic() - begin
    wanted = weights(tmp_path / 'unbroken' / f'epoch_{EPOCHS}.pth')
    draw = random.Random(0)
    kills, runs, trained = 0, 0, 0
    while kills < request.config.getoption('--kills'):
        folder = tmp_path / f'run-{runs}'
        child = fork(train, folder)
        if draw.random() < 0.5:
            wait_for_a_write(folder, child)
        else:
            time.sleep(draw.uniform(0, duration))
        signum = draw.choice(SIGNALS)
        os.kill(child, signum)  # is there until it is waited for
        status = status_of(child)
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
    assert status_of(fork(train, folder)) == 0
    assert same(weights(folder / f'epoch_{EPOCHS}.pth'), wanted)
    left = sorted(name for name in os.listdir(folder) if '.pth' in name)
    # All scores are equal: the first validation's is the best, and is never lost.
    assert left == ['best_score_epoch_1.pth', f'epoch_{EPOCHS}.pth']
