"""What a command does around its work: full disks, broken pipes, errors in one line."""

import csv
import errno
import logging
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from forked import fork, status_of
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS, MODELS
from tiny_run import tiny_run

from mmlt.analysis.files import write_per_class
from mmlt.checkpoint import CheckpointError
from mmlt.commands import run
from mmlt.engine.guard import WorkDirInUse, guard_runner, guarded, resume_path
from mmlt.engine.hooks import NonFiniteLossError, StrictLoadHook
from mmlt.files import csv_text, disk_trouble, printable

DIGITS = Path(__file__).parents[2] / 'configs/baselines/ce_resnet20_digits-lt.py'
FULL = pytest.mark.skipif(not os.path.exists('/dev/full'), reason='/dev/full is of Linux')


def end_of(main) -> str:
    with pytest.raises(SystemExit) as error:
        guarded(main)
    text = str(error.value.code)
    assert text.startswith('error: ')
    assert '\n' not in text
    return text


def test_a_command_that_ends_well_leaves_its_process_group(tmp_path):
    def main():
        dist.init_process_group(
            'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
        )
        dist.barrier()
        assert dist.is_initialized()

    guarded(main)
    assert not dist.is_initialized()


@FULL
def test_a_full_disk_is_one_line_with_the_file_and_the_room():
    def main():
        file_path = '/dev/full'
        with open(file_path, 'w') as file:
            file.write('x' * 100_000)

    text = end_of(main)
    assert text.startswith('error: cannot write /dev/full: No space left on device: ')
    assert 'MiB of the disk of /dev free; free room there' in text


@FULL
def test_a_log_that_cannot_be_written_is_one_line_and_the_run_goes_on(capsys):
    def main():
        handler = logging.FileHandler('/dev/full')
        logger = logging.Logger('full')
        logger.addHandler(handler)
        for _ in range(3):
            logger.warning('x' * 100_000)
        handler.stream.detach()
        print('to the end')

    guarded(main)
    captured = capsys.readouterr()
    assert captured.out == 'to the end\n'
    assert captured.err.count('cannot write /dev/full: No space left') == 1
    assert 'Traceback' not in captured.err


@pytest.mark.parametrize('kind', [CheckpointError, NonFiniteLossError, WorkDirInUse])
def test_errors_that_a_user_can_mend(kind):
    def main():
        raise kind('what to do')

    assert end_of(main) == 'error: what to do'


HEAD = dict(type='BCE3SHead', num_classes=3, in_channels=4)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (dict(class_counts='nowhere.json'), 'nowhere.json'),
        (dict(joint=dict(negative_ratio=2)), 'negative_ratio must be'),
        (dict(class_counts=[3, 2]), '2 classes'),
    ],
    ids=['file', 'argument', 'counts'],
)
def test_what_mmlt_refuses_is_one_line_also_through_a_registry(change, said, monkeypatch):
    def main():
        MODELS.build(HEAD | change)

    text = end_of(main)
    assert said in text
    assert text.endswith('(MMLT_TRACEBACK=1 shows where)')
    monkeypatch.setenv('MMLT_TRACEBACK', '1')
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        guarded(main)


def test_a_value_error_of_another_package_keeps_its_traceback():
    with pytest.raises(ValueError, match='could not convert'):
        guarded(lambda: float('x'))
    with pytest.raises(TypeError, match='failed to unpack'):
        guarded(lambda: MODELS.build(HEAD | dict(num_classes=3, in_channels='4')))


@pytest.mark.parametrize(
    ('part', 'settings', 'said'),
    [
        ('train_cfg', dict(max_epoch=3), "unexpected keyword argument 'max_epoch'"),
        ('train_dataloader', dict(batchsize=3), "unexpected keyword argument 'batchsize'"),
        ('train_dataloader', dict(batch_size=0), 'ValueError: batch_size should be a positive'),
        ('optim_wrapper', dict(optimizer=dict(lr=-1)), 'ValueError: Invalid learning rate: -1'),
    ],
)
def test_a_setting_that_mmengine_or_torch_refuses_is_one_line(part, settings, said, tmp_path):
    cfg = Config.fromfile(DIGITS)
    cfg.work_dir = str(tmp_path)
    cfg[part].update(settings)
    if part == 'train_cfg':
        del cfg.train_cfg['max_epochs']
    text = end_of(lambda: Runner.from_cfg(cfg).train())
    assert said in text
    assert text.endswith('(MMLT_TRACEBACK=1 shows where)')


def test_a_mistake_in_a_hook_of_the_users_own_keeps_its_traceback(tmp_path):
    @HOOKS.register_module(force=True)
    class OwnHook(Hook):
        def __init__(self):
            self.x = dict(a=1)['b']

    cfg = Config.fromfile(DIGITS)
    cfg.work_dir, cfg.custom_hooks = str(tmp_path), [dict(type='OwnHook')]
    with pytest.raises(KeyError, match="'b'"):
        guarded(lambda: Runner.from_cfg(cfg))


def test_ctrl_c_is_one_line_and_ends_as_a_shell_expects():
    def main():
        raise KeyboardInterrupt

    assert status_of(fork(guarded, main)) == -signal.SIGINT
    assert status_of(fork(run, main)) == -signal.SIGINT


def test_a_work_dir_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / 'ce.py').touch()
    text = end_of(lambda: (tmp_path / 'ce.py').mkdir())
    assert text == f'error: {tmp_path}/ce.py: File exists (MMLT_TRACEBACK=1 shows where)'


def test_other_errors_keep_their_traceback():
    with pytest.raises(FileNotFoundError):
        guarded(lambda: os.stat('/nowhere/at/all'))
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 / 0)
    assert type(sys.stdout).__name__ != 'UnbreakableOutput'


def test_a_reader_that_leaves_does_not_end_the_run():
    def work():
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(writer)
        os.close(reader)
        sys.stdout = os.fdopen(1, 'w')

        def main():
            for _ in range(100):
                print('x' * 1000, flush=True)
            os._exit(7)

        guarded(main)

    assert status_of(fork(work)) == 7


def test_hooks_are_added_where_a_config_has_none(tmp_path):
    plain = tiny_run(tmp_path, hooks=dict.fromkeys(('strict_load', 'finite_loss'), dict(
        type='IterTimerHook')))  # fmt: skip
    for _ in range(2):
        guard_runner(plain)
        assert sum(isinstance(hook, StrictLoadHook) for hook in plain.hooks) == 1


def test_what_was_skipped_is_printed(tmp_path, capsys):
    tiny_run(tmp_path, epochs=2).train()
    (tmp_path / 'epoch_2.pth').write_bytes(b'')
    assert resume_path(str(tmp_path), None) == str(tmp_path / 'epoch_1.pth')
    assert 'epoch_2.pth cannot be loaded' in capsys.readouterr().err
    assert resume_path(str(tmp_path), 'given.pth') == 'given.pth'


def test_a_config_in_a_checkpoint_is_not_run_by_a_resume(tmp_path):
    tiny_run(tmp_path, epochs=1).train()
    mark, path = tmp_path / 'was-here', tmp_path / 'epoch_1.pth'
    content = torch.load(path, weights_only=True)
    content['meta']['config'] = f'open({str(mark)!r}, "w")'
    torch.save(content, path)
    run = tiny_run(tmp_path, epochs=2, load_from=str(path), resume=True)
    run.train()
    assert run.epoch == 2
    assert not mark.exists()


@pytest.mark.skipif(sys.platform != 'linux', reason='the system tells children on Linux alone')
def test_workers_end_with_the_run_that_is_killed(tmp_path):
    def work():
        os.setsid()
        tiny_run(tmp_path, epochs=10_000, workers=2).train()

    child = fork(work)

    def group() -> list[str]:
        found = []
        for name in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{name}/stat') as file:
                    fields = file.read().rpartition(')')[2].split()
            except OSError:
                continue
            if int(fields[2]) == child and fields[0] != 'Z':
                found.append(name)
        return found

    while not (tmp_path / 'epoch_1.pth').exists() or len(group()) < 3:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deadline = time.monotonic() + 2  # alone they notice after 5
    while group() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert group() == []


def test_names_of_classes_are_no_formulas(tmp_path):
    write_per_class(tmp_path / 'a.csv', [(0, '=1+1', 9, 'many', 9), (1, 'a\nb', 9, 'many', 9)],
                    {'-model': [0.5, float('nan')]})  # fmt: skip
    with open(tmp_path / 'a.csv', newline='') as file:
        rows = list(csv.reader(file))
    assert [row[1] for row in rows] == ['name', "'=1+1", 'a\\nb']
    assert [row[5] for row in rows] == ["'-model", '0.5', '']


def test_text_for_tables_and_pages():
    assert csv_text('=1+1') == "'=1+1"
    assert csv_text('-2') == "'-2"
    assert csv_text('a\r\n@b') == 'a\\r\\n@b'
    assert csv_text('été, "x"') == 'été, "x"'
    assert printable('\x00\u202e') == '\\x00\\u202e'
    assert disk_trouble(OSError(errno.EROFS, 'Read-only file system'), 'a').endswith('file system')
