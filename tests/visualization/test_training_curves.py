"""Logs of mmengine read and drawn; resumed, repeated and iteration-based runs."""

import json

import numpy as np
import pytest

from mmlt.visualization import TrainingLog, draw_training_curves, read_training_log, render


def write(folder, *lines):
    path = folder / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))


def train(epoch, iteration, loss):
    return dict(lr=0.1, loss=loss, time=1.0, epoch=epoch, iter=iteration, step=iteration)


def validate(epoch, accuracy):
    return {'shot/all': accuracy, 'shot/few': float('nan'), 'time': 9.0, 'step': epoch}


def points(log, name):
    return [values.tolist() for values in log.scalars[name]]


def test_what_is_logged_in_an_epoch_is_averaged(tmp_path):
    write(
        tmp_path / '1', train(1, 50, 4.0), train(1, 100, 2.0), validate(1, 30.0), train(2, 150, 1.0)
    )
    log = read_training_log(tmp_path)
    assert log.unit == 'epoch'
    assert points(log, 'loss') == [[1, 2], [3, 1]]
    assert points(log, 'shot/all') == [[1], [30]]
    assert points(log, 'time') == [[1, 2], [1, 1]]
    assert np.isnan(log.scalars['shot/few'][1]).all()
    assert read_training_log(tmp_path / '1').scalars.keys() == log.scalars.keys()


def test_a_resumed_run_replaces_what_it_repeats(tmp_path):
    write(
        tmp_path / '20260101_000000',
        *(train(1, 50, 4.0), validate(1, 10.0), train(2, 100, 3.0), validate(2, 20.0)),
        train(3, 130, 99.0),
    )
    write(tmp_path / '20260102_000000', train(2, 90, 2.0), validate(2, 25.0), train(3, 140, 1.0))
    log = read_training_log(tmp_path)
    assert points(log, 'loss') == [[1, 2, 3], [4, 2, 1]]
    assert points(log, 'shot/all') == [[1, 2], [10, 25]]


@pytest.mark.parametrize('names', [('2', '1', '3'), ('3', '2', '1'), ('1', '3', '2')])
def test_no_epoch_is_lost_when_the_clock_went_back_between_runs(names, tmp_path):
    runs = [[train(e, e, float(e)), validate(e, 10.0 * e), train(e + 1, e + 1, e + 1.0),
             validate(e + 1, 10.0 * e + 10)] for e in (1, 3, 5)]  # fmt: skip
    for name, run in zip(names, runs):
        write(tmp_path / name, *run)
    log = read_training_log(tmp_path)
    assert points(log, 'loss') == [[1, 2, 3, 4, 5, 6]] * 2
    assert points(log, 'shot/all') == [[1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 60]]


def test_the_clock_counts_where_it_can(tmp_path):
    """A run that was resumed twice, the second time from an older checkpoint."""
    write(tmp_path / '1', *(train(e, e, 1.0) for e in range(1, 6)))
    write(tmp_path / '2', *(train(e, e, 2.0) for e in range(4, 6)))
    write(tmp_path / '3', *(train(e, e, 3.0) for e in range(3, 7)))
    assert points(read_training_log(tmp_path), 'loss')[1] == [1, 1, 3, 3, 3, 3]


def test_a_validation_alone_keeps_the_training(tmp_path):
    write(tmp_path / '1', train(1, 50, 4.0), validate(1, 10.0))
    write(tmp_path / '2', validate(1, 11.0))
    assert points(read_training_log(tmp_path), 'loss') == [[1], [4]]
    assert points(read_training_log(tmp_path), 'shot/all') == [[1], [11]]


def test_a_run_without_epochs_is_counted_in_iterations(tmp_path):
    lines = [dict(loss=loss, iter=i, step=i) for i, loss in ((50, 4.0), (100, 2.0))]
    write(tmp_path / '1', *lines, validate(100, 30.0))
    log = read_training_log(tmp_path)
    assert log.unit == 'iteration'
    assert points(log, 'loss') == [[50, 100], [4, 2]]
    assert draw_training_curves({'run': log}).axes[0].get_xlabel() == 'iteration'


def run_of(*losses, accuracies=('all', 'many', 'medium', 'few'), epochs=5):
    steps = np.arange(1, epochs + 1)
    scalars = {name: (steps, np.full(epochs, i + 1.0)) for i, name in enumerate(losses)}
    scalars |= {f'shot/{name}': (steps[-2:], [30.0, 40.0]) for name in accuracies}
    return TrainingLog('epoch', scalars | {'lr': (steps, steps / 10)})


def test_one_run_has_a_panel_of_losses_and_one_of_accuracies():
    fig = draw_training_curves({'bce3s': run_of('loss_joint', 'loss', 'loss_uniform')}, 'CIFAR')
    losses, accuracies = fig.axes
    names = [[text.get_text() for text in axes.get_legend().texts] for axes in fig.axes]
    assert names == [['loss', 'loss_joint', 'loss_uniform'], ['all', 'many', 'medium', 'few']]
    assert [len(axes.lines) for axes in fig.axes] == [3, 4]
    assert [axes.get_ylabel() for axes in fig.axes] == ['loss', 'accuracy (%)']
    assert losses.get_xlim() == accuracies.get_xlim()
    assert losses.lines[0].get_ydata().tolist() == [2] * 5
    assert fig.texts[1].get_text() == 'CIFAR; bce3s'


@pytest.mark.parametrize('number', [2, 16])
def test_several_runs_have_a_panel_for_each_scalar(number):
    runs = {f'run {i}': run_of('loss', 'loss_joint') for i in range(number)}
    fig = draw_training_curves(runs)
    assert [axes.get_title() for axes in fig.axes] == [
        *('loss', 'loss_joint', 'shot/all', 'shot/many', 'shot/medium', 'shot/few')
    ]
    assert [len(axes.lines) for axes in fig.axes] == [number] * 6
    names = [text.get_text() for text in fig.legends[0].texts]
    assert [name for name in names if name.strip()] == list(runs)
    looks = {(line.get_color(), line.get_linestyle()) for line in fig.axes[0].lines}
    assert len(looks) == number


def test_a_scalar_that_only_one_run_has_is_drawn_for_it():
    fig = draw_training_curves({'a': run_of('loss'), 'b': run_of('loss', 'loss_contrast')})
    assert [len(axes.lines) for axes in fig.axes][:2] == [2, 1]


def test_nan_is_left_out_and_a_loss_that_ran_away_leaves_a_gap():
    steps = [1, 2, 3]
    scalars = {
        'loss': (steps, [1.0, np.inf, 2.0]),
        'shot/all': ([3], [30.0]),
        'shot/few': ([3], [np.nan]),
    }
    fig = draw_training_curves({'run': TrainingLog('epoch', scalars)})
    np.testing.assert_array_equal(fig.axes[0].lines[0].get_ydata(), [1, np.nan, 2])
    assert [text.get_text() for text in fig.axes[1].get_legend().texts] == ['all']
    assert np.ptp(fig.axes[1].get_ylim()) >= 10
    assert len(render(fig, 'png')) > 1000


def test_top_1_takes_the_place_of_missing_shot_accuracies():
    log = TrainingLog('epoch', {'accuracy/top1': ([1], [30.0])})
    fig = draw_training_curves({'run': log})
    assert [text.get_text() for text in fig.axes[0].get_legend().texts] == ['accuracy/top1']


def test_bad_logs_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no vis_data/scalars.json'):
        read_training_log(tmp_path)
    write(tmp_path / '1')
    (tmp_path / '1' / 'vis_data' / 'scalars.json').write_text('{"loss": 1\n')
    with pytest.raises(ValueError, match='scalars.json, line 1, is not JSON'):
        read_training_log(tmp_path)
    with pytest.raises(ValueError, match='got no runs'):
        draw_training_curves({})
    with pytest.raises(ValueError, match='neither a loss nor'):
        draw_training_curves({'a': TrainingLog('epoch', {'lr': ([1], [0.1])})})
    with pytest.raises(ValueError, match='in the same unit'):
        draw_training_curves({'a': run_of('loss'), 'b': TrainingLog('iteration', {})})
    with pytest.raises(ValueError, match="the values of 'loss' must have shape"):
        draw_training_curves({'a': TrainingLog('epoch', {'loss': ([1, 2], [0.1])})})
