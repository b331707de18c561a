"""The command line, as a user runs it: train, kill, resume, test, several processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
CONFIG = 'configs/bce3s/resnet20_digits-lt.py'
# Two epochs of stage 1 and one of stage 2.
SHORT = [
    'train_cfg.max_epochs=3',
    'train_cfg.val_interval=3',
    'custom_hooks.0.begin_epoch=2',
    'default_hooks.checkpoint.max_keep_ckpts=-1',
]


def command(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        words, cwd=ROOT, env=environment(), text=True, capture_output=True, timeout=300
    )


def environment() -> dict:
    # dist_train.sh says "python": let it be this one.
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    return dict(os.environ, PATH=path, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))


def train(work_dir, *flags: str, options=()) -> subprocess.CompletedProcess:
    options = ['--cfg-options', *SHORT, *options]
    return command(
        sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(work_dir), *flags, *options
    )


def weights(checkpoint) -> dict:
    return torch.load(checkpoint, weights_only=True)['state_dict']


def table_row(stdout: str) -> list[str]:
    header, row = stdout.strip().splitlines()[-2:]
    assert header.split() == ['many', 'medium', 'few', 'all', 'macro', 'worst', 'harmonic']
    return row.split()


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('run') / 'digits'
    result = train(work_dir)
    assert result.returncode == 0, result.stderr
    return work_dir, result.stdout


def test_train_ends_with_the_table_of_the_last_epoch(trained):
    work_dir, stdout = trained
    row = table_row(stdout)
    assert row[:3] == ['epoch', '3', '(last)']
    assert 'Stage 2 from epoch 3: classifier only' in stdout
    logged = re.findall(r'Epoch\(val\) \[3\].*shot/all: ([\d.]+)', stdout)[-1]
    assert float(row[6]) == pytest.approx(float(logged), abs=0.005)
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_3.pth')


def test_test_repeats_the_numbers_of_training(trained, tmp_path):
    work_dir, stdout = trained
    out = tmp_path / 'metrics.json'
    checkpoint = str(work_dir / 'epoch_3.pth')
    result = command(
        sys.executable, 'tools/test.py', CONFIG, checkpoint, '--out', str(out),
        '--work-dir', str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert table_row(result.stdout)[2:] == table_row(stdout)[3:]
    assert f'{json.loads(out.read_text())["shot/all"]:.2f}' == table_row(stdout)[6]


def test_tta_and_predictions(trained, tmp_path):
    work_dir, _ = trained
    out = tmp_path / 'predictions.pkl'
    result = command(
        sys.executable, 'tools/test.py', CONFIG, str(work_dir / 'epoch_3.pth'), '--tta',
        '--out', str(out), '--work-dir', str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert table_row(result.stdout)[:2] == ['flip', 'TTA']
    assert out.stat().st_size > 0


def test_killed_run_resumes_to_the_weights_of_an_unbroken_one(trained, tmp_path):
    work_dir, _ = trained
    words = [
        sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(tmp_path),
        '--cfg-options', *SHORT,
    ]  # fmt: skip
    run = subprocess.Popen(
        words, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while not (tmp_path / 'last_checkpoint').exists():
        assert run.poll() is None, 'the run ended before it could be killed'
        assert time.monotonic() < deadline, 'no checkpoint was written'
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    result = train(tmp_path, '--resume')
    assert result.returncode == 0, result.stderr
    unbroken, resumed = weights(work_dir / 'epoch_3.pth'), weights(tmp_path / 'epoch_3.pth')
    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


@pytest.fixture(scope='module')
def trained_on_two(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('two')
    result = command(
        'tools/dist_train.sh', CONFIG, '2', '--work-dir', str(work_dir), '--cfg-options', *SHORT
    )
    assert result.returncode == 0, result.stderr
    return work_dir, result.stdout


def test_two_processes_train_both_stages(trained_on_two):
    work_dir, stdout = trained_on_two
    assert table_row(stdout)[:3] == ['epoch', '3', '(last)']
    before, after = (weights(work_dir / f'epoch_{n}.pth') for n in (2, 3))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {'head.classifier.weight', 'head.classifier.bias'}


def test_two_processes_test_like_one(trained_on_two, tmp_path):
    work_dir, stdout = trained_on_two
    result = command(
        'tools/dist_test.sh', CONFIG, str(work_dir / 'epoch_3.pth'), '2',
        '--work-dir', str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert table_row(result.stdout)[2:] == table_row(stdout)[3:]


def test_amp_trains_with_finite_losses(tmp_path):
    result = train(tmp_path, '--amp', '--no-validate', options=['train_cfg.max_epochs=1'])
    assert result.returncode == 0, result.stderr
    losses = re.findall(r' loss: (\S+)', result.stdout)
    assert losses
    assert 'nan' not in losses


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['tools/train.py', 'configs/nowhere.py'], 'configs/nowhere.py'),
        (['tools/test.py', CONFIG, 'nowhere.pth'], 'nowhere.pth'),
        (['tools/test.py', CONFIG, 'x.pth', '--out', 'x.txt'], '--out must end in'),
        (['tools/test.py', CONFIG, 'x.pth', '--out-item', 'pred'], '--out-item needs --out'),
    ],
)
def test_wrong_path_is_named(words, message, tmp_path):
    result = command(sys.executable, *words, '--work-dir', str(tmp_path))
    assert result.returncode != 0
    assert message in result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_script_without_arguments_says_how_to_call_it(script):
    result = command(f'tools/{script}')
    assert result.returncode == 2
    assert 'usage:' in result.stderr
