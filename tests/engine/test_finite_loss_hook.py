"""A loss that is no number ends the run before it reaches the weights."""

import math

import pytest
import torch
from tiny_run import same, tiny_run, weights

from mmlt.engine.hooks import FiniteLossHook, NonFiniteLossError
from mmlt.engine.hooks.finite_loss_hook import MAX_SKIPPED


def spoiled(folder, values, **options):
    """A run whose losses are multiplied by the values, then by 1."""
    values = iter(values)
    run = tiny_run(folder, **options)
    run.model.spoil = lambda loss: loss * next(values, 1.0)
    return run


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_the_run_stops_and_says_what_led_there(value, tmp_path):
    run = spoiled(tmp_path, [1.0] * 9 + [value])
    with pytest.raises(NonFiniteLossError) as error:
        run.train()
    text = str(error.value)
    assert '\n' not in text
    assert 'epoch 2, iteration 10: ' in text
    assert f'loss {value}, loss_ce {value}, loss_small' in text
    assert 'learning rate 0.1' in text
    path = tmp_path / 'non_finite_loss_iter_10_rank0.pth'
    assert str(path) in text
    # The state before the step, and the checkpoint to resume is the one of epoch 1.
    assert all(value.isfinite().all() for value in weights(path).values())
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_1.pth')


def test_the_saved_state_is_the_one_before_the_step(tmp_path):
    with pytest.raises(NonFiniteLossError):
        spoiled(tmp_path / 'bad', [1.0] * 7 + [math.nan]).train()
    saved = weights(tmp_path / 'bad' / 'non_finite_loss_iter_8_rank0.pth')
    before = weights(tmp_path / 'bad' / 'epoch_1.pth')
    moved = {name for name in saved if not torch.equal(saved[name], before[name])}
    # The forward pass, and nothing after it.
    assert moved == {
        f'backbone.1.{n}' for n in ('running_mean', 'running_var', 'num_batches_tracked')
    }


def test_patience(tmp_path):
    hooks = {'finite_loss': {'type': 'FiniteLossHook', 'patience': 3}}
    run = spoiled(tmp_path, [1.0, math.nan], hooks=hooks)
    with pytest.raises(NonFiniteLossError, match='iteration 4'):
        run.train()  # after one NaN all weights are
    for patience in (0, 1.5, True):
        with pytest.raises(ValueError, match='patience must be an integer >= 1'):
            FiniteLossHook(patience)


class Scaler:
    """Stands for the gradient scaler of a GPU, which skips the steps of such losses."""

    def is_enabled(self):
        return True


def test_what_a_gradient_scaler_skips_is_excepted(tmp_path):
    hook = FiniteLossHook()
    run = tiny_run(tmp_path)
    run._train_loop = run.build_train_loop(run._train_loop)
    run.optim_wrapper = run.build_optim_wrapper(run.optim_wrapper)
    run.optim_wrapper.loss_scaler = Scaler()
    parts = {'loss': math.inf}
    for _ in range(3):
        hook._check(run, torch.tensor(math.inf), parts)
    hook._check(run, torch.tensor(1.0), parts)
    assert hook.seen == 0
    for _ in range(MAX_SKIPPED - 1):
        hook._check(run, torch.tensor(math.inf), parts)
    with pytest.raises(NonFiniteLossError):
        hook._check(run, torch.tensor(math.inf), parts)


def test_finite_runs_are_the_same_with_and_without_it(tmp_path):
    tiny_run(tmp_path / 'with').train()
    tiny_run(tmp_path / 'without', hooks={'finite_loss': {'type': 'IterTimerHook'}}).train()
    assert same(weights(tmp_path / 'with/epoch_3.pth'), weights(tmp_path / 'without/epoch_3.pth'))


def test_image_paths_of_a_real_batch_are_named(tmp_path):
    from mmpretrain.structures import DataSample

    from mmlt.engine.hooks.finite_loss_hook import image_paths

    samples = [DataSample(metainfo={'img_path': f'{i}.jpg'}) for i in range(2)]
    assert image_paths({'inputs': 0, 'data_samples': samples}) == ['0.jpg', '1.jpg']
    assert image_paths([1, 2]) == []
