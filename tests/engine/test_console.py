"""What the console shows of a run."""

import logging
from types import SimpleNamespace

import pytest
from mmengine.hooks import LoggerHook
from mmengine.runner import IterBasedTrainLoop

from mmlt.engine import console
from mmlt.engine.console import LINES, ConsoleFilter


class Iterations(IterBasedTrainLoop):
    def __init__(self):
        """No dataset."""


def filter_of(epochs=0, val_interval=1, interval=50):
    loop = SimpleNamespace(max_epochs=epochs, val_interval=val_interval)
    return ConsoleFilter(
        SimpleNamespace(
            _train_loop=loop if epochs else Iterations(), hooks=[LoggerHook(interval=interval)]
        )
    )


def shown(short, texts, level=logging.INFO):
    records = (logging.LogRecord('a', level, '', 0, text, (), None) for text in texts)
    return [record.msg for record in records if short.filter(record)]


def lines(epochs, steps=10, val_interval=1):
    for epoch in range(1, epochs + 1):
        yield f'Epoch(train)  [{epoch}][{steps:3}/{steps}]  lr: 1.0e-02  eta: 0:00:06'
        if epoch % val_interval == 0:
            yield f'Epoch(val) [{epoch}][4/4]    shot/all: 7.1'


@pytest.mark.parametrize(('epochs', 'val_interval'), [(3, 1), (20, 1), (125, 25), (400, 1)])
def test_a_training_takes_a_screen(epochs, val_interval):
    found = shown(filter_of(epochs, val_interval), lines(epochs, 10, val_interval))
    trained = [line for line in found if 'train' in line]
    tested = [line for line in found if 'val' in line]
    assert min(epochs, LINES) - 2 <= len(trained) <= LINES + 2
    assert f'[{epochs}]' in trained[-1]
    assert '[1]' in trained[0]
    assert len(tested) == (epochs // val_interval if val_interval > 1 else len(trained))


def test_a_slow_run_has_a_line_a_minute(monkeypatch):
    clock = iter(range(0, 10**6, 40))
    monkeypatch.setattr(console.time, 'monotonic', lambda: next(clock))
    found = shown(filter_of(400), [f'Epoch(train) [7][{i}/500] eta: 1' for i in range(50, 500, 50)])
    assert len(found) == 5  # of nine lines, 40 seconds apart


def test_a_run_by_iterations():
    texts = [f'Iter(train) [{i:5}/20000]  lr' for i in range(50, 20001, 50)]
    found = shown(filter_of(), texts)
    assert LINES <= len(found) <= LINES + 3
    assert found[-1] == texts[-1]
    assert shown(filter_of(), ['Iter(val) [4/4] shot/all: 1']) != []


def test_a_resumed_run_shows_its_first_epoch():
    assert shown(filter_of(400), ['Epoch(train) [61][9/9] lr']) == ['Epoch(train) [61][9/9] lr']


def test_what_is_the_same_in_every_run_is_for_the_file():
    texts = [
        'Exp name: a',
        'Saving checkpoint at 3 epochs',
        '\n------\nSystem environment:',
        'Config:',
    ]
    assert shown(filter_of(3), texts) == []
    news = ['LongTailedDataset: 314 of 1197 images', 'Stage 2 from epoch 31: classifier only']
    assert shown(filter_of(3), news) == news


def test_warnings_and_errors_stay():
    assert shown(filter_of(3), ['Saving checkpoint failed'], logging.ERROR) != []
    assert shown(filter_of(3), ['the margin was never applied'], logging.WARNING) != []
    assert shown(filter_of(3), ['"FileClient" will be deprecated'], logging.WARNING) == []
