"""The grids of the papers: what each row builds, and short runs of some."""

import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config, DictAction
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401
from mmlt.engine.ablation_grids import GRIDS

ROOT = Path(__file__).parents[2]
TOOL = str(ROOT / 'tools/ablation_grid.py')
DIGITS = str(ROOT / 'configs/bce3s/stage1_resnet20_digits-lt.py')
DIGITS_CE = str(ROOT / 'configs/baselines/ce_resnet20_digits-lt.py')
KINDS = {
    'softmax': ('SoftmaxPairLoss', 'SoftmaxPairLoss', 'SoftmaxUniformLoss'),
    'sigmoid': ('SigmoidPairLoss', 'SigmoidPairLoss', 'SigmoidUniformLoss'),
    None: (None, None, None),
}


def grid(*flags: str) -> subprocess.CompletedProcess:
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    return subprocess.run(
        [sys.executable, TOOL, *flags], env=environment, text=True, capture_output=True, cwd=ROOT
    )


def head_of(config, options):
    cfg = Config.fromfile(config)
    pairs = [option.split('=', maxsplit=1) for option in options]
    cfg.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in pairs})
    return MODELS.build(cfg.model.head)


def criterion(head, slot: str) -> str | None:
    return type(head.slots[slot].criterion).__name__ if slot in head.slots else None


def expected(row: str) -> tuple:
    """The kinds of the three slots, read off the row's name."""
    row = {'ce3s': 'ce+ce_ss+ce_cc', 'bce3s': 'bce+bce_ss+bce_cc'}.get(row, row)
    names = {'ce': 'softmax', 'bce': 'sigmoid'}
    parts = dict.fromkeys(('sc', 'ss', 'cc'))
    for part in row.split('+'):
        kind, _, slot = part.partition('_')
        parts[slot or 'sc'] = names[kind]
    return tuple(parts.values())


def test_rows_of_table_2_are_all_combinations_but_those_that_mix_the_two_auxiliary_slots():
    rows = GRIDS['bce3s-table2']().rows
    slots = {expected(row) for row in rows}
    wanted = {
        (joint, contrast, uniform)
        for joint in ('softmax', 'sigmoid')
        for contrast in ('softmax', 'sigmoid', None)
        for uniform in ('softmax', 'sigmoid', None)
        if contrast == uniform or None in (contrast, uniform)
    }
    assert slots == wanted
    assert len(rows) == len(wanted) == 14


def test_each_row_of_table_2_builds_its_criteria():
    for name, row in GRIDS['bce3s-table2'](contrast_weight=0.3).rows.items():
        head = head_of(DIGITS, row.options)
        joint, contrast, uniform = expected(name)
        assert criterion(head, 'joint') == KINDS[joint][0]
        assert criterion(head, 'contrast') == KINDS[contrast][1]
        assert criterion(head, 'uniform') == KINDS[uniform][2]
        assert joint == 'softmax' or head.loss_module.negative_ratio == 0.4
        assert contrast is None or head.slots['contrast'].criterion.loss_weight == 0.3


@pytest.mark.parametrize('name', sorted(set(GRIDS) - {'bce3s-table2'}))
def test_every_row_builds_a_head_of_its_own(name):
    grid = GRIDS[name]()
    heads = {row: repr_of(head_of(ROOT / grid.config, grid.rows[row].options)) for row in grid.rows}
    usual = repr_of(head_of(ROOT / grid.config, ()))
    for row, head in heads.items():
        twins = [other for other, text in heads.items() if text == head and other != row]
        # The paper's own setting stands in each of the sweeps of a figure.
        assert not twins or head == usual, (row, twins)


def repr_of(head) -> str:
    """All that a row may change: types, numbers, margins."""
    parts = [(n, type(m).__name__, numbers(m)) for n, m in head.named_modules()]
    margins = [(n, b.tolist()) for n, b in head.named_buffers() if n.endswith('margin')]
    return repr((parts, margins))


def numbers(module) -> dict:
    plain = (bool, int, float, str)
    return {k: v for k, v in vars(module).items() if type(v) in plain and not k.startswith('_')}


def test_the_parts_of_dbm_are_those_of_table_5():
    grid = GRIDS['dbm-table5']()
    for row, (options, paper) in grid.rows.items():
        head = head_of(ROOT / grid.config, options)
        margin = head.slots['joint'].margin
        assert criterion(head, 'joint').startswith('Balanced') == row.startswith('bs')
        assert (type(head.classifier).__name__ == 'Linear') == (row in ('ce', 'bs'))
        kinds = {'+mC': 'none', '+mC+mI(P)': 'all', '+mC+mI(HP)': 'hard'}
        assert getattr(margin, 'instance_margin', None) == kinds.get(row[2:])
        assert 40 < paper['all'] < 52


@pytest.fixture
def in_process(monkeypatch, capsys):
    """The tool without the seconds of a new process: exit status and what it printed."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    tool = importlib.import_module('ablation_grid')

    def run(*flags: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['ablation_grid.py', *flags])
        try:
            status = tool.main()
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return run


def test_grids_and_commands_are_listed(in_process):
    status, listed, _ = in_process('--list')
    assert status == 0
    assert all(name in listed for name in GRIDS)
    options = ('--cfg-options', 'randomness.seed=3')
    _, lines, _ = in_process('dbm-figure3', '--list', '--amp', *options)
    lines = lines.splitlines()
    commands = {row: shlex.split(line) for row, line in zip(lines[::2], lines[1::2])}
    words = commands['# K=0.3']
    assert '--amp' in words
    assert words[-2:] == ['model.head.max_margin=0.3', 'randomness.seed=3']
    assert words[words.index('--work-dir') + 1] == 'work_dirs/dbm-figure3/K-0.3'


def test_a_row_is_run_and_its_last_epoch_is_printed_and_a_failed_one_is_named(tmp_path):
    # As if an older run had left numbers: those of a row that fails must not be printed.
    old = tmp_path / 'bs' / '20200101_000000' / 'vis_data'
    old.mkdir(parents=True)
    (old / 'scalars.json').write_text('{"shot/all": 77.0, "step": 1}\n')
    options = ['train_cfg.max_epochs=2', 'train_cfg.val_interval=1']
    result = grid(
        'dbm-table5', '--config', DIGITS_CE, '--rows', 'ce+mC', 'bs', '--work-dir', str(tmp_path),
        '--cfg-options', *options, 'model.head.classifier.scale=32.0',
    )  # fmt: skip
    # A linear classifier has no scale: the row 'bs' fails.
    assert result.returncode == 1, result.stderr
    *_, title, images, header, first, second, note = result.stdout.strip().splitlines()
    assert 'table 5' in title
    assert images == 'validated on DigitsLT, split test'
    assert header.split()[:4] == ['many', 'medium', 'few', 'all']
    last = next(x for x in result.stdout.splitlines() if x.startswith('epoch 2 (last)'))
    assert first.split()[0] == 'ce+mC'
    assert first.split()[1:] == last.split(')')[1].split()
    assert second.startswith('bs: exit status 1')
    assert set(second.split()[4:]) == {'-'}
    assert 'paper' not in first
    assert 'cifar100-lt-if100' in note
    assert 'failed: bs' in result.stderr


TABLE = """print('validated on DigitsLT, split test')
print('              many   medium      few      all')
print('epoch 2 (best of 2 on the test set)  9.00  9.00  9.00  9.00')
print('epoch 2 (last)  1.00  2.00  -  4.00', flush=True)
"""


@pytest.mark.parametrize(
    ('end', 'metrics', 'why'),
    [
        ('', {'shot/many': 1.0, 'shot/medium': 2.0, 'shot/all': 4.0}, ''),
        ('raise SystemExit(3)', {}, 'exit status 3'),
        ('import os; os.kill(os.getpid(), 9)', {}, 'killed by signal 9'),
    ],
)
def test_a_row_that_does_not_end_well_has_no_numbers(end, metrics, why, in_process):
    import ablation_grid

    found, images, reason = ablation_grid.run_row([sys.executable, '-c', TABLE + end])
    assert (found, reason) == (metrics, why)
    assert images == ('' if why else 'validated on DigitsLT, split test')


def test_numbers_of_the_paper_stand_beside_its_own_data_alone(in_process, capsys):
    import ablation_grid

    grid = GRIDS['dbm-table5']()
    results = {'bs': ({'shot/all': 50.0}, 'validated on x', ''), 'ce': ({}, '', 'exit status 1')}
    for config, rows in ((ROOT / grid.config, 5), (DIGITS_CE, 3)):
        args = SimpleNamespace(config=str(config), class_counts=None, rows=['bs', 'ce', 'ce+mC'])
        ablation_grid.report(grid, args, results)
        lines = capsys.readouterr().out.splitlines()
        assert ('bs, paper' in ' '.join(lines)) == (rows == 5)
        assert any(line.startswith('ce+mC: not run') for line in lines)
        assert any(line.startswith('ce: exit status 1') for line in lines)
    args.class_counts, args.config = 'cifar100-lt-if50', str(ROOT / grid.config)
    ablation_grid.report(grid, args, results)
    assert 'paper ' not in capsys.readouterr().out


def test_a_grid_finds_its_config_from_any_folder(in_process, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = in_process('bce3s-table2', '--list')
    assert status == 0
    assert str(ROOT / GRIDS['bce3s-table2']().config) in out


def test_wrong_names_are_refused(in_process):
    for words, message in (
        (('no-such-grid',), 'GRID must be one of'),
        (('bcl-table1', '--rows', 'L4'), '--rows must be of L1, L2, L3'),
        ((DIGITS,), 'GRID comes first'),
        (('bcl-table1', '--contrast-weight', '1'), 'contrast_weight: of bce3s-table2 alone'),
        (('bcl-table1', '--config', 'nowhere.py'), 'CONFIG nowhere.py does not exist'),
    ):
        status, _, errors = in_process(*words)
        assert status == 2
        assert message in errors
