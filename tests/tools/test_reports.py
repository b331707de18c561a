"""What the tools report: best and last epoch, several checkpoints, TTA, classes, other metrics."""

import csv
import json
import re
import sys

import pytest
import torch
from commands import ROOT, command
from test_train_and_test import COLUMNS, CONFIG, run_here, table, train

BEST = re.compile(r'epoch (\d) \(best of (\d)(.*)\)')
OWN_METRICS = f"""
_base_ = {str(ROOT / CONFIG)!r}
test_evaluator = [dict(type='Accuracy'), dict(type='ConfusionMatrix')]
"""
MORE_METRICS = (
    OWN_METRICS
    + """
test_evaluator.append(dict(type='ShotAccuracy', class_counts='digits-lt-if50', many=113, few=5))
"""
)


def history(checkpoint) -> dict:
    """The validations that a checkpoint knows: epoch -> metrics."""
    state = torch.load(checkpoint, weights_only=True)['message_hub']
    return state['runtime_info'].get('shot_history', {})


@pytest.fixture(scope='module')
def validated(tmp_path_factory):
    """Three validated epochs; save_best keeps a file of its own beside the last one."""
    work_dir = tmp_path_factory.mktemp('validated')
    keep = 'default_hooks.checkpoint'
    options = [f'{keep}.save_best=shot/all', f'{keep}.rule=greater', 'train_cfg.val_interval=1']
    result = train(work_dir, options=options)
    assert result.returncode == 0, result.stderr
    return work_dir, result.stdout


def test_the_last_epoch_is_the_last_row_and_the_best_says_what_it_was_chosen_on(validated):
    logged = re.findall(r'Epoch\(val\) \[(\d)\].*shot/all: ([\d.]+)', validated[1])
    assert [epoch for epoch, _ in logged] == ['1', '2', '3']
    best, best_all = max(logged, key=lambda row: float(row[1]))
    rows = table(validated[1])
    name = f'epoch {best} (best of 3 on the test set)'
    assert list(rows) == [name, 'epoch 3 (last)']
    assert rows[name][3] == f'{float(best_all):.2f}'
    assert rows['epoch 3 (last)'][3] == f'{float(logged[-1][1]):.2f}'


def test_save_best_keeps_best_and_last_apart(validated):
    work_dir, stdout = validated
    best = BEST.match(list(table(stdout))[0])[1]
    names = {path.name for path in work_dir.glob('*.pth')}
    assert names == {f'best_shot_all_epoch_{best}.pth', *(f'epoch_{n}.pth' for n in (1, 2, 3))}
    assert (work_dir / 'last_checkpoint').read_text().endswith('/epoch_3.pth')


def test_a_resumed_run_remembers_its_validations(validated, tmp_path):
    checkpoint = validated[0] / 'epoch_2.pth'
    known = history(checkpoint)
    assert 1 in known
    # Another set to choose on, too.
    options = ['train_cfg.val_interval=1', 'val_dataloader.dataset.split=train']
    result = train(tmp_path, '--resume', str(checkpoint), options=options)
    assert result.returncode == 0, result.stderr
    known |= history(tmp_path / 'epoch_3.pth')
    name, last = table(result.stdout)
    assert last == 'epoch 3 (last)'
    assert BEST.match(name)[2] == str(len(known) + 1)
    assert BEST.match(name)[3] == ' on the validation set'


def run_test(config: str, tmp_path, *words: str):
    (tmp_path / 'config.py').write_text(config)
    return command(
        sys.executable, 'tools/test.py', str(tmp_path / 'config.py'), *words,
        '--work-dir', str(tmp_path),
    )  # fmt: skip


@pytest.fixture(scope='module')
def reported(validated, tmp_path_factory):
    folder = tmp_path_factory.mktemp('reported')
    checkpoints = (str(validated[0] / f'epoch_{n}.pth') for n in (3, 2))
    files = ('--out', str(folder / 'metrics.json'), '--per-class', str(folder / 'new' / 'c.csv'))
    result = run_test(MORE_METRICS, folder, '--tta', *checkpoints, *files)
    assert result.returncode == 0, result.stderr
    with open(folder / 'new' / 'c.csv', newline='') as file:
        classes = list(csv.DictReader(file))
    return result.stdout, json.loads((folder / 'metrics.json').read_text()), classes


def test_every_checkpoint_is_reported_without_and_with_tta(reported, validated):
    stdout, report, _ = reported
    rows = table(stdout)
    names = ['epoch_3.pth', 'epoch_2.pth', 'mean', 'std']
    assert list(rows) == [f'{name}, {mode}' for mode in ('no TTA', 'flip TTA') for name in names]
    assert rows['epoch_3.pth, no TTA'][3:] == table(validated[1])['epoch 3 (last)'][3:]
    for mode in ('no TTA', 'flip TTA'):
        written = report[mode]['rows'] | {name: report[mode][name] for name in ('mean', 'std')}
        for name in names:
            cells = [f'{written[name][f"shot/{column}"]:.2f}' for column in COLUMNS]
            assert cells == rows[f'{name}, {mode}']


def test_other_scalars_are_a_line_each(reported):
    stdout, report, _ = reported
    lines = stdout.splitlines()
    lines = lines[[line.split() for line in lines].index(COLUMNS) + 9 :]
    # The confusion matrix is no scalar.
    assert [line.split(':')[0] for line in lines] == ['accuracy/top1']
    for mode, part in report.items():
        for name, metrics in (part['rows'] | {'mean': part['mean'], 'std': part['std']}).items():
            # mmpretrain's accuracy is of the scores, ShotAccuracy of the labels.
            assert metrics['accuracy/top1'] == pytest.approx(metrics['shot/all'], abs=1e-3)
            assert f'{name}, {mode} {metrics["accuracy/top1"]:.4g}' in lines[0]


def test_the_classes_are_written_with_their_accuracy_in_every_row(reported):
    _, report, classes = reported
    head = ['label', 'name', 'train_images', 'shot_group', 'test_images']
    rows = [f'epoch_{n}.pth, {mode}' for mode in ('no TTA', 'flip TTA') for n in (3, 2)]
    assert list(classes[0]) == head + rows
    assert (
        [row['label'] for row in classes] == [row['name'] for row in classes] == list('0123456789')
    )
    counts = [114, 73, 47, 30, 20, 12, 8, 5, 3, 2]
    assert [int(row['train_images']) for row in classes] == counts
    assert [row['shot_group'] for row in classes] == ['many'] + ['medium'] * 7 + ['few'] * 2
    for row in rows:
        name, mode = row.split(', ')
        # The oracle is mmpretrain's confusion matrix of the same run: rows are the true classes.
        matrix = torch.tensor(report[mode]['rows'][name]['confusion_matrix/result'])
        assert [int(k['test_images']) for k in classes] == matrix.sum(1).tolist()
        accuracy = 100 * matrix.diag() / matrix.sum(1)
        assert [float(k[row]) for k in classes] == pytest.approx(accuracy.tolist(), abs=1e-4)


def test_a_group_without_classes_is_null_in_the_json(validated, tmp_path):
    config = MORE_METRICS.replace('many=113', 'many=1000')
    out = tmp_path / 'metrics.json'
    result = run_test(config, tmp_path, str(validated[0] / 'epoch_3.pth'), '--out', str(out))
    assert result.returncode == 0, result.stderr
    written = json.loads(out.read_text(), parse_constant=pytest.fail)  # NaN is no JSON
    assert written['shot/many'] is None
    cells = ['-', *(f'{written[f"shot/{name}"]:.2f}' for name in COLUMNS[1:])]
    assert cells == table(result.stdout)['no TTA']
    assert len(written['confusion_matrix/result']) == 10


def test_without_shot_accuracy_there_are_the_scalars_only(validated, tmp_path):
    result = run_test(OWN_METRICS, tmp_path, str(validated[0] / 'epoch_3.pth'))
    assert result.returncode == 0, result.stderr
    assert table(result.stdout) == {}
    overall = float(table(validated[1])['epoch 3 (last)'][3])
    assert result.stdout.splitlines()[-1] == f'accuracy/top1: no TTA {overall:.4g}'


def test_per_class_needs_shot_accuracy(tmp_path, monkeypatch):
    (tmp_path / 'config.py').write_text(OWN_METRICS)
    with pytest.raises(SystemExit, match='--per-class needs a ShotAccuracy in test_evaluator'):
        run_here(f'test.py {tmp_path / "config.py"} LICENSE --per-class x.csv', monkeypatch)
