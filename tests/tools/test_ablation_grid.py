"""The grid of BCE3S's table 2: what each row builds, and a short run of two rows."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401

ROOT = Path(__file__).parents[2]
TOOL = str(ROOT / 'tools/ablation_grid.py')
DIGITS = str(ROOT / 'configs/bce3s/stage1_resnet20_digits-lt.py')
KINDS = {
    'softmax': ('SoftmaxPairLoss', 'SoftmaxPairLoss', 'SoftmaxUniformLoss'),
    'sigmoid': ('SigmoidPairLoss', 'SigmoidPairLoss', 'SigmoidUniformLoss'),
    None: (None, 'NoneType', 'NoneType'),
}


def grid(*flags: str) -> subprocess.CompletedProcess:
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    return subprocess.run(
        [sys.executable, TOOL, DIGITS, *flags], env=environment, text=True, capture_output=True
    )


@pytest.fixture(scope='module')
def commands() -> dict:
    """Row -> the words of its command, as --list prints them."""
    result = grid('--list', '--contrast-weight', '0.3', '--cfg-options', 'randomness.seed=3')
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    return {row.removeprefix('# '): shlex.split(line) for row, line in zip(lines[::2], lines[1::2])}


def expected(row: str) -> tuple:
    """The kinds of the three slots, read off the row's name."""
    row = {'ce3s': 'ce+ce_ss+ce_cc', 'bce3s': 'bce+bce_ss+bce_cc'}.get(row, row)
    names = {'ce': 'softmax', 'bce': 'sigmoid'}
    parts = dict.fromkeys(('sc', 'ss', 'cc'))
    for part in row.split('+'):
        kind, _, slot = part.partition('_')
        parts[slot or 'sc'] = names[kind]
    return tuple(parts.values())


def test_rows_are_all_combinations_but_those_that_mix_the_two_auxiliary_slots(commands):
    slots = {expected(row) for row in commands}
    wanted = {
        (joint, contrast, uniform)
        for joint in ('softmax', 'sigmoid')
        for contrast in ('softmax', 'sigmoid', None)
        for uniform in ('softmax', 'sigmoid', None)
        if contrast == uniform or None in (contrast, uniform)
    }
    assert slots == wanted
    assert len(commands) == len(wanted) == 14


def test_each_row_builds_its_criteria(commands):
    for row, words in commands.items():
        cfg = Config.fromfile(DIGITS)
        options = words[words.index('--cfg-options') + 1 :]
        pairs = [option.split('=', maxsplit=1) for option in options]
        cfg.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in pairs})
        head = MODELS.build(cfg.model.head)
        joint, contrast, uniform = expected(row)
        assert type(head.loss_module).__name__ == KINDS[joint][0]
        assert type(head.slots['contrast'].criterion).__name__ == KINDS[contrast][1]
        assert type(head.slots['uniform'].criterion).__name__ == KINDS[uniform][2]
        assert head.negative_ratio == (0.4 if joint == 'sigmoid' else 1.0)
        assert contrast is None or head.slots['contrast'].criterion.loss_weight == 0.3
        assert cfg.randomness.seed == 3


def test_a_row_is_run_and_its_last_epoch_is_printed(tmp_path):
    options = ['train_cfg.max_epochs=2', 'train_cfg.val_interval=1']
    result = grid('--rows', 'ce', 'bce3s', '--work-dir', str(tmp_path), '--cfg-options', *options)
    assert result.returncode == 0, result.stderr
    *_, header, ce, bce3s = result.stdout.strip().splitlines()
    assert header.split()[:4] == ['many', 'medium', 'few', 'all']
    for line, row in ((ce, 'ce'), (bce3s, 'bce3s')):
        assert line.startswith(f'{row} (paper ')
        runs = result.stdout.split(f'# {row}\n')[1]
        last = next(text for text in runs.splitlines() if text.startswith('epoch 2 (last)'))
        assert line.split(')')[1].split() == last.split(')')[1].split()
        assert (tmp_path / row / 'epoch_2.pth').is_file()


def test_a_row_that_fails_is_named(tmp_path):
    flags = ['--rows', 'ce', '--work-dir', str(tmp_path)]
    result = grid(*flags, '--cfg-options', 'model.head.negative_ratio=7')
    assert result.returncode == 1
    assert 'failed: ce' in result.stderr
    assert grid('--rows', 'no-such-row').returncode == 2
