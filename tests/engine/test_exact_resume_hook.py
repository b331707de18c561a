"""A run that ended before a validation makes up for it when it is resumed."""

import os
import re
import signal

import pytest
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from tiny_run import same, tiny_run, weights

from mmlt.engine.hooks import Stopped
from mmlt.engine.work_dir import find_resumable

BEST = dict(
    checkpoint=dict(
        type='SafeCheckpointHook', interval=1, save_best='score', rule='greater', max_keep_ckpts=1
    )
)


class Falling(BaseMetric):
    """The first validation is the best."""

    def __init__(self, done=0):
        super().__init__()
        self.scores = iter([0.9, 0.5, 0.4][done:])

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {'score': next(self.scores)}


class Killed(Exception):
    pass


class KillAt(Hook):
    """Ends a run at a moment of some validation, as a kill would: nothing more is written."""

    priority = 'VERY_HIGH'

    def __init__(self, epoch, stage):
        self.epoch = epoch
        setattr(self, stage, self.kill)

    def kill(self, runner, **kwargs):
        if runner.epoch == self.epoch:
            raise Killed


class Validations(Hook):
    """Notes where a run was validated."""

    def __init__(self):
        self.at = []

    def after_val_epoch(self, runner, metrics=None):
        self.at.append((runner.epoch, runner.iter))


def end(folder, hook, **options):
    """A run that ends where the hook says."""
    run = tiny_run(folder, custom_hooks=[hook], **options)
    with pytest.raises(Killed):
        run.train()


def resume(folder, **options):
    path, _ = find_resumable(folder)
    seen = Validations()
    run = tiny_run(folder, load_from=path, resume=True, custom_hooks=[seen], **options)
    run.train()
    return run, seen.at


def falling(done=0):
    return dict(hooks=BEST, val_evaluator=dict(type=Falling, done=done))


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp('unbroken')
    tiny_run(folder, **falling()).train()
    return folder


@pytest.mark.parametrize('stage', ['before_val', 'before_val_iter', 'after_val_epoch'])
@pytest.mark.parametrize('epoch', [1, 2, 3])
def test_killed_in_a_validation_it_is_made_up_for(stage, epoch, unbroken, tmp_path):
    end(tmp_path, KillAt(epoch, stage), **falling())
    run, at = resume(tmp_path, **falling(done=epoch - 1))
    assert at == [(e, 7 * e) for e in range(epoch, 4)]
    assert run.message_hub.get_info('best_score') == 0.9
    names = sorted(path.name for path in tmp_path.glob('*.pth'))
    assert names == ['best_score_epoch_1.pth', 'epoch_3.pth']
    assert names == sorted(path.name for path in unbroken.glob('*.pth'))
    assert all(same(weights(tmp_path / name), weights(unbroken / name)) for name in names)


def test_what_was_validated_is_not_validated_again(tmp_path):
    # The first validation is the best: its epoch's checkpoint is written again after it.
    end(tmp_path, KillAt(1, 'before_train_epoch'), **falling())
    assert resume(tmp_path, **falling(done=1))[1] == [(2, 14), (3, 21)]


@pytest.mark.parametrize(
    ('interval', 'begin', 'wanted'),
    [(1, 1, [1, 2, 3]), (1, 2, [2, 3]), (2, 1, [2, 3]), (3, 1, [3])],
)
def test_what_was_not_due_is_not_made_up_for(interval, begin, wanted, tmp_path):
    loop = dict(by_epoch=True, max_epochs=3, val_interval=interval, val_begin=begin)
    end(tmp_path, KillAt(1, 'before_train_epoch'), train_cfg=loop)
    assert [epoch for epoch, _ in resume(tmp_path, train_cfg=loop)[1]] == wanted


def test_a_line_of_a_validation_tells_its_metrics_alone(tmp_path):
    tiny_run(tmp_path, epochs=1, log_level='INFO').train()
    (log,) = tmp_path.glob('*/*.log')
    line = next(line for line in log.read_text().splitlines() if 'Epoch(val)' in line)
    assert re.findall(r'(\w+): ', line.partition('Epoch(val)')[2]) == ['score', 'data_time', 'time']


def test_stopped_inside_an_epoch_the_validation_before_it_was_made(tmp_path):
    class Stop(Hook):
        def before_train_iter(self, runner, **kwargs):
            if runner.iter == 9:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        tiny_run(tmp_path, custom_hooks=[Stop()]).train()
    assert resume(tmp_path)[1] == [(2, 14), (3, 21)]


def test_a_run_that_counts_iterations(tmp_path):
    class KillInVal(Hook):
        def before_val_iter(self, runner, **kwargs):
            if runner.iter == 10:
                raise Killed

    loop = dict(by_epoch=False, max_iters=12, val_interval=5)
    checkpoint = dict(type='SafeCheckpointHook', by_epoch=False, interval=5)
    options = dict(train_cfg=loop, hooks=dict(checkpoint=checkpoint))
    end(tmp_path, KillInVal(), **options)
    assert [step for _, step in resume(tmp_path, **options)[1]] == [10, 12]
