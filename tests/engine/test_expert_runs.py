"""NCL on the digits by the Runner: it learns, resumes, and reports each expert."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmlt  # noqa: F401

CONFIG = Path(__file__).parents[2] / 'configs/ncl/ncl-no-contrast_resnet20_digits-lt.py'


def run(work_dir, resume=False, **options) -> Runner:
    """Two epochs of the digits recipe, with the accuracy of each expert."""
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir, cfg.experiment_name = str(work_dir), work_dir.name
    cfg.train_cfg.update(max_epochs=2, val_interval=2)
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=2, eta_min=0.01)]
    cfg.train_dataloader.batch_size = 8
    cfg.model.backbone.shared_stages = 2  # the time of a test
    cfg.model.head.keep_experts = True
    cfg.val_evaluator = cfg.test_evaluator = [cfg.val_evaluator, dict(type='ExpertAccuracy')]
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    cfg.resume = resume
    cfg.merge_from_dict(options)
    return Runner.from_cfg(cfg)


@pytest.fixture(scope='module')
def whole_run(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    runner = run(work_dir)
    runner.train()
    return runner, work_dir, runner.test()


def state(work_dir, epoch=2) -> dict:
    return torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=True)['state_dict']


def test_every_loss_falls_and_every_expert_is_reported(whole_run):
    runner, _, metrics = whole_run
    scalars = runner.message_hub.log_scalars
    for name in ('loss_joint', 'loss_mining'):
        values = scalars[f'train/{name}'].data[0]
        third = len(values) // 3
        assert values[-third:].mean() < 0.8 * values[:third].mean(), name
    assert scalars['train/loss_distillation'].data[0].min() > 0
    experts = [metrics[f'expert/{m}'] for m in range(3)]
    assert len(set(experts)) > 1
    assert metrics['expert/mean'] == pytest.approx(sum(experts) / 3)
    assert metrics['shot/all'] > 15  # 10 is chance


def test_one_expert_tested_alone_has_its_reported_accuracy(whole_run, tmp_path):
    _, work_dir, metrics = whole_run
    checkpoint = str(work_dir / 'epoch_2.pth')
    alone = run(tmp_path, load_from=checkpoint, **{'model.head.expert': 1})
    assert alone.test()['shot/all'] == pytest.approx(metrics['expert/1'])


def test_a_resumed_run_ends_bit_for_bit_as_the_unbroken_one(whole_run, tmp_path):
    _, work_dir, _ = whole_run
    resumed = run(tmp_path, resume=True, load_from=str(work_dir / 'epoch_1.pth'))
    resumed.train()
    wanted, got = state(work_dir), state(tmp_path)
    assert wanted.keys() == got.keys()
    assert [name for name in wanted if not torch.equal(wanted[name], got[name])] == []
    first = state(work_dir, 1)
    same = {name for name in wanted if torch.equal(first[name], wanted[name])}
    assert same == {f'head.experts.{m}.class_counts' for m in range(3)}
