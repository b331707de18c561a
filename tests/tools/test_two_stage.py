"""The two-stage command, as a user runs it: unbroken, stopped in either stage, failing."""

import os
import re
import signal
import sys

import pytest
from commands import ROOT, command
from test_train_and_test import (
    CONFIG,
    kill_after_first_checkpoint,
    same_weights,
    table,
    weights,
)

STAGE2 = f"""
_base_ = {str(ROOT / CONFIG)!r}
default_hooks = dict(retraining=dict(type='ClassifierRetrainingHook', begin_epoch=0))
param_scheduler = []
"""


@pytest.fixture(scope='module')
def words(tmp_path_factory):
    """The command up to the work dir; two epochs a stage."""
    stage2 = tmp_path_factory.mktemp('configs') / 'stage2.py'
    stage2.write_text(STAGE2)
    return [
        sys.executable, 'tools/train_two_stage.py', CONFIG, str(stage2),
        # Flags of train.py go to both stages.
        '--class-counts', 'digits-lt-if40', '--no-persistent-workers',
        '--cfg-options', 'train_cfg.max_epochs=2',
        '--stage2-options', 'default_hooks.checkpoint.max_keep_ckpts=-1',
        '--work-dir',
    ]  # fmt: skip


@pytest.fixture(scope='module')
def unbroken(words, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('run')
    result = command(*words, str(work_dir))
    assert result.returncode == 0, result.stderr
    return work_dir, result.stdout


def test_stage_2_trains_the_classifier_on_the_features_of_stage_1(unbroken):
    before = weights(unbroken[0] / 'stage1' / 'epoch_2.pth')
    after = weights(unbroken[0] / 'stage2' / 'epoch_2.pth')
    # Everything else, BatchNorm's statistics included, is bit for bit what it was.
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {'head.classifier.weight', 'head.classifier.bias'}


def test_it_prints_both_commands_and_ends_with_both_tables(unbroken):
    work_dir, stdout = unbroken
    start, first, second = stdout.split('# stage 1\n')[0], *stdout.split('# stage 2\n')[-2:]
    assert start == ''
    lines = stdout.splitlines()
    commands = [lines[lines.index(f'# stage {stage}') + 1] for stage in (1, 2)]
    assert all(f'--work-dir {work_dir}/stage{n}' in commands[n - 1] for n in (1, 2))
    assert commands[1].endswith(f' load_from={work_dir}/stage1/epoch_2.pth')
    assert 'load_from' not in commands[0]
    first = first.split('# stage 1\n')[-1]
    assert list(table(first)) == list(table(second)) == ['epoch 2 (last)']
    assert len(first.splitlines()) == len(second.splitlines()) == 3
    assert first.startswith('validated on DigitsLT, split test\n')
    assert all('--no-persistent-workers' in words for words in commands)
    assert all('--class-counts digits-lt-if40' in words for words in commands)
    assert stdout.count("class_counts: 'digits-lt-if50' -> 'digits-lt-if40'") == 2
    assert table(first) == table(stdout.split('# stage 2\n')[0])


def test_stopped_in_either_stage_it_resumes_to_the_weights_of_an_unbroken_run(
    words, unbroken, tmp_path
):
    words = [*words, str(tmp_path), '--resume']
    # Once with the whole process group, as a machine that goes down; once the tool alone.
    kill_after_first_checkpoint(
        tmp_path / 'stage1', words, lambda run: os.killpg(run.pid, signal.SIGKILL)
    )
    assert not (tmp_path / 'stage2').exists()
    status = kill_after_first_checkpoint(tmp_path / 'stage2', words, lambda run: run.terminate())
    assert status != 0
    first = (tmp_path / 'stage1' / 'epoch_2.pth').stat().st_mtime_ns
    result = command(*words)
    assert result.returncode == 0, result.stderr
    for stage in ('stage1', 'stage2'):
        assert same_weights(unbroken[0] / stage / 'epoch_2.pth', tmp_path / stage / 'epoch_2.pth')
    # The finished stage 1 was only validated, and stage 2 began from its own checkpoint.
    assert (tmp_path / 'stage1' / 'epoch_2.pth').stat().st_mtime_ns == first
    # Terminated, it finished its step and saved.
    loaded = rf'Load checkpoint from {tmp_path}/stage2/(interrupted_)?epoch_'
    assert re.search(loaded, result.stdout)
    assert result.stdout.splitlines()[-8:] == unbroken[1].splitlines()[-8:]


def test_stage_2_is_not_started_when_stage_1_fails(words, tmp_path):
    result = command(*words, str(tmp_path), '--stage1-options', 'model.type=Nowhere')
    assert result.returncode == 1
    assert 'Nowhere is not in' in result.stderr
    assert result.stderr.splitlines()[-1] == 'stage 1 failed'
    assert '# stage 2' not in result.stdout
    assert not (tmp_path / 'stage2').exists()


@pytest.mark.parametrize('flag', ['--cfg-options', '--stage1-options', '--stage2-options'])
@pytest.mark.parametrize('word', ['train_cfg.max_epochs', '=3'])
def test_an_option_that_is_no_pair_is_named(words, flag, word, tmp_path):
    result = command(*words, str(tmp_path / 'run'), flag, 'randomness.seed=1', word)
    assert result.returncode == 2
    expected = f'error: argument {flag}: expected key=value, got {word!r}'
    assert result.stderr.splitlines()[-1].endswith(expected)
    assert not (tmp_path / 'run').exists()


def test_a_mistyped_option_of_stage_2_is_told_before_stage_1(words, tmp_path):
    result = command(*words, str(tmp_path), '--stage2-options', 'optim_wraper.optimizer.lr=1')
    assert result.returncode == 1
    assert 'error: stage 2: --cfg-options optim_wraper.optimizer.lr: there is no' in result.stderr
    assert not (tmp_path / 'stage1').exists()


def test_stages_that_train_on_different_images_are_refused(words, tmp_path):
    other = ['--stage2-options', 'train_dataloader.dataset.split=first_n']
    result = command(*words, str(tmp_path / 'run'), *other)
    assert result.returncode == 1
    first, second = result.stderr.splitlines()[-2:]
    assert 'different images' in result.stderr
    assert first.startswith('stage 1: DigitsLT, split train, digits-lt-if40, hash ')
    assert first.split()[-1] != second.split()[-1]
    assert not (tmp_path / 'run').exists()
    assert '# stage 1' not in result.stdout


def test_another_wrapper_or_transform_is_no_other_draw(words, tmp_path, monkeypatch):
    sys.path.insert(0, str(ROOT / 'tools'))
    monkeypatch.setattr(sys, 'argv', words[1:] + [str(tmp_path)])
    try:
        import train_two_stage as tool
    finally:
        sys.path.pop(0)
    monkeypatch.chdir(ROOT)
    args, flags = tool.parse_args()
    assert flags == ['--no-persistent-workers']
    # Partners from the whole set, as the released first stage has them.
    args.stage1 = str(tmp_path / 'stage1.py')
    (tmp_path / 'stage1.py').write_text(f"""
_base_ = {str(ROOT / CONFIG)!r}
train_dataloader = dict(dataset=dict(
    _delete_=True, type='MixPartnerDataset', power=0.0, dataset=_base_.train_dataloader.dataset))
""")
    tool.check_draws(args)
    args.stage1_options = ['train_dataloader.dataset.dataset.seed=1']
    with pytest.raises(SystemExit, match='different images'):
        tool.check_draws(args)


@pytest.fixture(scope='module')
def teaching(tmp_path_factory):
    """Teacher and student of one epoch, the teacher a small one, by one command."""
    place = 'model.companions.teacher'
    return [
        sys.executable, 'tools/train_two_stage.py', 'configs/gml/teacher_resnet32_digits-lt.py',
        'configs/gml/gml_resnet20_digits-lt.py', '--hand-over', f'{place}.checkpoint',
        '--cfg-options', 'train_cfg.max_epochs=2', 'default_hooks.checkpoint.max_keep_ckpts=-1',
        '--stage1-options', 'model.backbone.depth=20',
        '--stage2-options', f'{place}.model.backbone.depth=20', '--work-dir',
    ]  # fmt: skip


def test_a_killed_student_resumes_with_its_teacher(teaching, tmp_path):
    words = [*teaching, str(tmp_path), '--resume']
    kill_after_first_checkpoint(
        tmp_path / 'stage2', words, lambda run: os.killpg(run.pid, signal.SIGKILL)
    )
    teacher = tmp_path / 'stage1' / 'epoch_2.pth'
    killed = weights(tmp_path / 'stage2' / 'epoch_1.pth')
    result = command(*words)
    assert result.returncode == 0, result.stderr
    student = result.stdout.split('# stage 2\n')[1]
    assert f'model.companions.teacher.checkpoint={teacher}' in student
    assert 'load_from=' not in student.splitlines()[0]
    assert weights(tmp_path / 'stage2' / 'epoch_2.pth').keys() == killed.keys()
    assert not any(name.startswith('companions.') for name in killed)
    assert result.stdout.count('epoch 2 (last)') == 4


def test_a_place_that_the_student_lacks_is_refused(teaching, tmp_path):
    words = [word.replace('teacher.checkpoint', 'tutor.checkpoint') for word in teaching]
    result = command(*words, str(tmp_path / 'run'))
    assert result.returncode == 1
    assert 'error: --hand-over model.companions.tutor.checkpoint: ' in result.stderr
    assert not (tmp_path / 'run').exists()
