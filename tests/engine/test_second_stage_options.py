"""What the released second stage of BCE3S has besides its loss: MaxNorm, early rates, drift."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmlt  # noqa: F401
from mmlt.models.layers import NormedLinear

DIGITS = Path(__file__).parents[2] / 'configs/bce3s/stage2_resnet20_digits-lt.py'


class Rates(Hook):
    """Notes the rate of the last step of each epoch."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.of_epochs = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        rate = runner.optim_wrapper.get_lr()['lr'][0]
        self.of_epochs[runner.epoch - self.start :] = [rate]

    def before_train(self, runner):
        self.start = runner.epoch


@pytest.fixture(scope='module')
def first(tmp_path_factory) -> str:
    """The checkpoint of a first stage of two epochs."""
    work_dir = tmp_path_factory.mktemp('first')
    cfg = Config.fromfile(DIGITS.with_name('stage1_resnet20_digits-lt.py'))
    cfg.work_dir, cfg.experiment_name = str(work_dir), 'first'
    cfg.train_cfg.update(max_epochs=2, val_interval=9)
    Runner.from_cfg(cfg).train()
    return str(work_dir / 'epoch_2.pth')


def second(first: str, work_dir, epochs=3, resume=False, **hooks) -> tuple[Runner, list[float]]:
    """A second stage with further hooks, and the rate of each epoch."""
    cfg = Config.fromfile(DIGITS)
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'{work_dir.name}-{epochs}'
    cfg.load_from, cfg.resume = None if resume else first, resume
    cfg.train_cfg.update(max_epochs=epochs, val_interval=9)
    cfg.param_scheduler = dict(type='CosineAnnealingLR', T_max=3)
    cfg.default_hooks.update(hooks)
    runner, rates = Runner.from_cfg(cfg), Rates()
    runner.register_hook(rates)
    runner.train()
    return runner, rates.of_epochs


def weights(work_dir, epoch) -> dict:
    return torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=True)['state_dict']


def test_the_rates_are_those_of_the_next_epoch_also_after_a_resume(first, tmp_path):
    early = dict(param_scheduler=dict(type='EarlyParamSchedulerHook'))
    wanted = [0.05 * (1 + math.cos(math.pi * e / 3)) / 2 for e in range(4)]
    _, rates = second(first, tmp_path / 'usual')
    assert rates == pytest.approx(wanted[:3])
    _, rates = second(first, tmp_path / 'early', **early)
    assert rates == pytest.approx(wanted[1:], abs=1e-12)
    second(first, tmp_path / 'broken', epochs=2, **early)
    _, rates = second(first, tmp_path / 'broken', resume=True, **early)
    assert rates == pytest.approx(wanted[3:], abs=1e-12)
    whole, broken = (weights(tmp_path / name, 3) for name in ('early', 'broken'))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_two_hooks_that_step_are_refused(first, tmp_path):
    with pytest.raises(ValueError, match='one hook must step'):
        second(first, tmp_path, again=dict(type='EarlyParamSchedulerHook'))


def test_the_released_rates_sum_to_a_fifth_less():
    usual, early = (
        sum(1 + math.cos(math.pi * (e + shift) / 10) for e in range(10)) for shift in (0, 1)
    )
    assert usual / early == pytest.approx(1.222, abs=5e-4)


def test_statistics_drift_only_where_it_is_asked_for(first, tmp_path):
    begin = torch.load(first, weights_only=True)['state_dict']
    second(first, tmp_path / 'still', epochs=1)
    second(first, tmp_path / 'drift', epochs=1, drift=dict(type='BatchNormDriftHook'))
    still, drift = (weights(tmp_path / name, 1) for name in ('still', 'drift'))
    moved = {name for name in begin if not torch.equal(begin[name], drift[name])}
    statistics = {n for n in begin if n.endswith(('running_mean', 'running_var', 'tracked'))}
    classifier = {'head.classifier.weight', 'head.classifier.bias'}
    assert statistics
    assert moved == statistics | classifier
    assert {n for n in begin if not torch.equal(begin[n], still[n])} == classifier


def test_a_step_turns_a_row_by_the_rate_over_its_length_squared():
    torch.manual_seed(0)
    features, labels = torch.randn(64, 8).double(), torch.randint(4, (64,))
    start = torch.nn.functional.normalize(torch.randn(4, 8).double())

    def angles(length: float) -> torch.Tensor:
        layer = NormedLinear(8, 4, bias=False).double()
        layer.weight.data = length * start
        torch.nn.functional.cross_entropy(layer(features), labels).backward()
        after = torch.nn.functional.normalize(layer.weight - 1e-3 * layer.weight.grad)
        return 2 * ((after - start).norm(dim=1) / 2).asin()

    torch.testing.assert_close(angles(1.0) / angles(4.0), torch.full((4,), 16.0).double(),
                               rtol=1e-4, atol=0)  # fmt: skip


def test_max_norm_leaves_the_logits_and_changes_what_is_learned(first, tmp_path):
    begin = torch.load(first, weights_only=True)['state_dict']
    hook = dict(type='MaxNormHook')
    second(first, tmp_path / 'without', epochs=2)
    second(first, tmp_path / 'with', epochs=2, max_norm=hook)
    features = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))

    def angles(state) -> torch.Tensor:
        rows = [torch.nn.functional.normalize(s['head.classifier.weight']) for s in (begin, state)]
        return (rows[0] * rows[1]).sum(dim=1).clamp(-1, 1).acos()

    def logits(state) -> torch.Tensor:
        rows = torch.nn.functional.normalize(state['head.classifier.weight'])
        return features @ rows.T + state['head.classifier.bias']

    # The projection comes after the epoch: the first epoch is the same in both, but for the length.
    one, other = (weights(tmp_path / name, 1) for name in ('without', 'with'))
    lengths = [state['head.classifier.weight'].norm(dim=1) for state in (one, other)]
    assert lengths[1].max() < lengths[0].max() * 0.95
    torch.testing.assert_close(logits(one), logits(other), rtol=1e-4, atol=1e-4)
    # The second epoch is not: rows that the projection has shortened turn farther.
    one, other = (weights(tmp_path / name, 2) for name in ('without', 'with'))
    shortened = lengths[1] < lengths[0] * 0.95
    assert shortened.any()
    assert angles(other)[shortened].mean() > 1.02 * angles(one)[shortened].mean()
    assert not torch.allclose(logits(one), logits(other), rtol=1e-3, atol=1e-3)
