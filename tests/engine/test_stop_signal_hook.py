"""Stopped by a signal anywhere, a run goes on to the weights of the unbroken one."""

import os
import signal

import pytest
import torch
from forked import fork, status_of
from mmengine.hooks import Hook
from tiny_run import same, tiny_run, weights

from mmlt.checkpoint import CheckpointError
from mmlt.engine.hooks import Stopped
from mmlt.engine.work_dir import find_resumable

# 7 iterations an epoch, 3 epochs.
PLACES = [0, 3, 5, 6, 7, 13, 19]


class SignalAt(Hook):
    """Sends this process a signal in some iteration, and notes which ones were finished."""

    def __init__(self, at=None, signum=signal.SIGTERM, stage='before_train_iter', times=1):
        self.at, self.signum, self.times, self.done = at, signum, times, []
        setattr(self, stage, self.send)

    def send(self, runner, **kwargs):
        if runner.iter == self.at:
            self.at = None
            for _ in range(self.times):
                os.kill(os.getpid(), self.signum)

    def after_train_iter(self, runner, **kwargs):
        self.done.append(runner.iter)


@pytest.fixture(autouse=True)
def own_handlers():
    """A run that is stopped by an exception of another kind leaves its handlers."""
    before = {
        signum: signal.signal(signum, signal.SIG_DFL) for signum in (signal.SIGTERM, signal.SIGHUP)
    }
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp('unbroken')
    tiny_run(folder).train()
    return weights(folder / 'epoch_3.pth')


def stop(folder, at, **options):
    sender = SignalAt(at, **options.pop('signal', {}))
    with pytest.raises(Stopped) as stopped:
        tiny_run(folder, custom_hooks=[sender], **options).train()
    assert stopped.value.code == 128 + stopped.value.signum
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert not sender.done or sender.done[-1] in (at, at - 1)  # the step was finished
    return stopped.value.signum


def go_on(folder, **options):
    path, skipped = find_resumable(folder)
    assert skipped == []
    run = tiny_run(folder, load_from=path, resume=path is not None, **options)
    run.train()
    return run


@pytest.mark.parametrize('at', PLACES)
def test_inside_an_epoch_and_at_its_end(at, unbroken, tmp_path):
    assert stop(tmp_path, at) == signal.SIGTERM
    name = (tmp_path / 'last_checkpoint').read_text().rsplit('/', 1)[-1]
    epoch, batch = divmod(at + 1, 7)
    wanted = f'interrupted_epoch_{epoch}_iter_{at + 1}.pth' if batch else f'epoch_{epoch}.pth'
    assert name == wanted
    run = go_on(tmp_path)
    assert (run.epoch, run.iter) == (3, 21)
    assert same(weights(tmp_path / 'epoch_3.pth'), unbroken)
    assert not list(tmp_path.glob('interrupted*'))  # epoch_N.pth took its place


@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGHUP])
def test_other_signals(signum, unbroken, tmp_path):
    assert stop(tmp_path, 9, signal={'signum': signum}) == signum
    go_on(tmp_path)
    assert same(weights(tmp_path / 'epoch_3.pth'), unbroken)


def test_twice_in_one_epoch(unbroken, tmp_path):
    stop(tmp_path, 8)
    path, _ = find_resumable(tmp_path)
    stop(tmp_path, 11, load_from=path, resume=True)
    go_on(tmp_path)
    assert same(weights(tmp_path / 'epoch_3.pth'), unbroken)


def test_with_workers(tmp_path):
    tiny_run(tmp_path / 'unbroken', workers=1).train()
    stop(tmp_path / 'broken', 10, workers=1)
    go_on(tmp_path / 'broken', workers=1)
    a, b = (weights(tmp_path / name / 'epoch_3.pth') for name in ('unbroken', 'broken'))
    assert same(a, b)


def test_in_a_validation(unbroken, tmp_path):
    """All that was trained is saved: it stops at once; the checkpoint is the epoch's."""
    stop(tmp_path, 14, signal={'stage': 'before_val_iter'})
    assert (tmp_path / 'last_checkpoint').read_text().endswith('/epoch_2.pth')
    go_on(tmp_path)
    assert same(weights(tmp_path / 'epoch_3.pth'), unbroken)


def test_in_a_validation_of_an_epoch_without_a_checkpoint(unbroken, tmp_path):
    checkpoint = {'checkpoint': {'type': 'SafeCheckpointHook', 'interval': 3}}
    stop(tmp_path, 14, signal={'stage': 'before_val_iter'}, hooks=checkpoint)
    last = (tmp_path / 'last_checkpoint').read_text()
    assert last.endswith('/interrupted_epoch_2_iter_14.pth')
    go_on(tmp_path, hooks=checkpoint)
    assert same(weights(tmp_path / 'epoch_3.pth'), unbroken)


def test_averaged_weights(tmp_path):
    options = {'custom_hooks': [{'type': 'EMAHook'}]}
    tiny_run(tmp_path / 'unbroken', **options).train()
    sender = SignalAt(10)
    with pytest.raises(Stopped):
        tiny_run(tmp_path / 'broken', custom_hooks=[*options['custom_hooks'], sender]).train()
    go_on(tmp_path / 'broken', **options)
    a, b = (torch.load(tmp_path / name / 'epoch_3.pth') for name in ('unbroken', 'broken'))
    assert same(a['state_dict'], b['state_dict'])
    assert same(a['ema_state_dict'], b['ema_state_dict'])


@pytest.mark.parametrize('place', [None, 9])
def test_accumulated_gradients(place, tmp_path):
    """4 does not divide the 7 iterations: gradients are open at the end of an epoch."""
    options = {'optim_wrapper': {
        'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}, 'accumulative_counts': 4,
    }}  # fmt: skip
    tiny_run(tmp_path / 'unbroken', **options).train()
    folder = tmp_path / 'broken'
    if place is None:
        tiny_run(folder, **options).train()
        (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    else:
        stop(folder, place, **options)
    go_on(folder, **options)
    a, b = (weights(tmp_path / name / 'epoch_3.pth') for name in ('unbroken', 'broken'))
    assert same(a, b)


def test_a_run_that_counts_iterations(tmp_path):
    checkpoint = {'type': 'SafeCheckpointHook', 'interval': 5, 'by_epoch': False}
    options = {
        'train_cfg': {'by_epoch': False, 'max_iters': 12, 'val_interval': 100},
        'hooks': {'checkpoint': checkpoint},
    }
    stop(tmp_path, 6, **options)
    assert (tmp_path / 'last_checkpoint').read_text().endswith('interrupted_iter_7.pth')
    assert go_on(tmp_path, **options).iter == 12


def test_the_log_says_how_to_go_on(tmp_path, capsys):
    stop(tmp_path, 2, log_level='INFO')
    line = next(line for line in capsys.readouterr().out.splitlines() if 'Stopped by' in line)
    assert 'Stopped by SIGTERM in epoch 1, iteration 3; saved: ' in line
    assert line.endswith('interrupted_epoch_0_iter_3.pth. To go on: the same command with --resume')


def test_a_second_signal_ends_at_once(tmp_path):
    run = lambda: tiny_run(tmp_path, custom_hooks=[SignalAt(4, times=2)]).train()  # noqa: E731
    assert status_of(fork(run)) == -signal.SIGTERM
    assert not list(tmp_path.glob('interrupted*'))


def test_after_an_error_the_signals_are_the_ones_of_before(tmp_path):
    def note(signum, frame):
        noted.append(signum)

    noted = []
    signal.signal(signal.SIGTERM, note)
    run = tiny_run(tmp_path)
    run.model.spoil = lambda loss: loss / 0
    with pytest.raises(ArithmeticError):
        run.train()
    os.kill(os.getpid(), signal.SIGTERM)
    assert noted == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is note


@pytest.mark.parametrize(('size', 'now'), [(4, '4 of 4'), (1, '14 of 1')])
def test_a_place_in_an_epoch_of_other_batches_is_refused(size, now, tmp_path):
    stop(tmp_path, 4)
    path, _ = find_resumable(tmp_path)
    run = tiny_run(tmp_path, load_from=path, resume=True)
    run._train_dataloader['batch_size'] = size
    said = rf'after batch 5 of an epoch of 7 batches of 2 images, this run has {now}: .* --resume'
    with pytest.raises(CheckpointError, match=said):
        run.train()


def test_a_checkpoint_that_does_not_tell_the_size_of_its_epoch(unbroken, tmp_path):
    """Of an earlier version: refused only where the place is none in this run's epochs."""
    stop(tmp_path, 4)
    path, _ = find_resumable(tmp_path)
    content = torch.load(path, weights_only=False)
    for name in ('batches', 'batch_images'):
        del content['meta'][name]
    torch.save(content, path)
    run = tiny_run(tmp_path, load_from=path, resume=True)
    run._train_dataloader['batch_size'] = 4
    with pytest.raises(CheckpointError, match='after batch 5 of an epoch of 4'):
        run.train()
    go_on(tmp_path)
    assert same(weights(tmp_path / 'epoch_3.pth'), unbroken)


class Rates(Hook):
    """Notes the rate of each step."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, **kwargs):
        self.seen.append(runner.optim_wrapper.get_lr()['lr'][0])


@pytest.mark.parametrize('at', [0, 10, 15])
def test_rates_that_were_stepped_before_the_epoch_are_not_stepped_again(at, tmp_path):
    early = {'param_scheduler': {'type': 'EarlyParamSchedulerHook'}}
    cosine = {'type': 'CosineAnnealingLR', 'T_max': 3, 'by_epoch': True}
    rates, options = [Rates() for _ in range(3)], {'param_scheduler': [cosine], 'hooks': early}
    tiny_run(tmp_path / 'whole', custom_hooks=[rates[0]], **options).train()
    with pytest.raises(Stopped):
        tiny_run(tmp_path / 'run', custom_hooks=[SignalAt(at), rates[1]], **options).train()
    go_on(tmp_path / 'run', custom_hooks=[rates[2]], **options)
    assert rates[1].seen + rates[2].seen == rates[0].seen
    a, b = (weights(tmp_path / name / 'epoch_3.pth') for name in ('whole', 'run'))
    assert same(a, b)


def test_early_rates_of_a_run_that_counts_iterations_are_refused(tmp_path):
    run = tiny_run(
        tmp_path,
        train_cfg={'by_epoch': False, 'max_iters': 3},
        hooks={'param_scheduler': {'type': 'EarlyParamSchedulerHook'}, 'checkpoint': None},
    )
    with pytest.raises(ValueError, match='EarlyParamSchedulerHook steps before each epoch, but'):
        run.train()
