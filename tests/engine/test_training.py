"""Whole runs on the digits: two stages, resume, reproducibility."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmlt  # noqa: F401

CONFIG = Path(__file__).parents[2] / 'configs/bce3s/resnet20_digits-lt.py'


def short_run(work_dir, max_epochs=4, begin_epoch=2, **options) -> Runner:
    """The digits recipe in four epochs; the second stage begins after ``begin_epoch``."""
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'{work_dir.name}-{max_epochs}'
    cfg.train_cfg.update(max_epochs=max_epochs, val_interval=2)
    cfg.default_hooks.retraining.begin_epoch = begin_epoch
    cfg.param_scheduler = [
        dict(type='CosineAnnealingLR', begin=0, end=2, T_max=2, eta_min=0.01),
        dict(type='CosineAnnealingLR', begin=2, end=4, T_max=2),
    ]
    cfg.merge_from_dict(options)
    return Runner.from_cfg(cfg)


def states(work_dir, epoch) -> dict:
    return torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=True)


def differing(first: dict, second: dict) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.fixture(scope='module')
def whole_run(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('whole')
    runner = short_run(work_dir, **{'default_hooks.checkpoint.max_keep_ckpts': -1})
    runner.train()
    return work_dir


def test_second_stage_changes_the_classifier_alone(whole_run):
    before = states(whole_run, 2)['state_dict']
    after = states(whole_run, 4)['state_dict']
    changed = differing(before, after)
    # In particular, the running statistics of BatchNorm are bit for bit the same.
    assert sorted(changed) == ['head.classifier.bias', 'head.classifier.weight']


def test_first_stage_changes_all_but_the_counts(whole_run):
    changed = differing(states(whole_run, 1)['state_dict'], states(whole_run, 2)['state_dict'])
    kept = states(whole_run, 1)['state_dict'].keys() - set(changed)
    assert kept == {'head.class_counts'}


def test_second_stage_logs_no_stale_losses(whole_run):
    lines = next(whole_run.rglob('scalars.json')).read_text().splitlines()
    stages = {epoch: [line for line in lines if f'"epoch": {epoch},' in line] for epoch in (2, 4)}
    assert any('loss_contrast' in line for line in stages[2])
    assert stages[4]
    assert not any('loss_contrast' in line or 'loss_uniform' in line for line in stages[4])


@pytest.mark.parametrize('stop', [1, 2, 3], ids=['stage 1', 'at the switch', 'stage 2'])
def test_resumed_run_equals_unbroken_run(stop, whole_run, tmp_path):
    short_run(tmp_path, max_epochs=stop).train()
    resumed = short_run(tmp_path, resume=True)
    resumed.train()
    unbroken, broken = states(whole_run, 4), states(tmp_path, 4)
    assert differing(unbroken['state_dict'], broken['state_dict']) == []
    momenta = [
        {f'{i}.{k}': v for i, s in run['optimizer']['state'].items() for k, v in s.items()}
        for run in (unbroken, broken)
    ]
    assert [m and differing(momenta[0], m) for m in momenta[1:]] == [[]]


def test_epochs_draw_different_numbers(tmp_path):
    runner = short_run(tmp_path, max_epochs=2, begin_epoch=9)
    drawn = []

    class Draw(mmlt.engine.hooks.EpochSeedHook):
        priority = 'NORMAL'

        def before_train_epoch(self, runner):
            drawn.append(torch.rand(3))

    runner.register_hook(Draw())
    runner.train()
    assert not torch.equal(drawn[0], drawn[1])


def test_retraining_needs_a_tripartite_head(tmp_path):
    runner = short_run(
        tmp_path,
        begin_epoch=0,
        **{'model.head': dict(type='LinearClsHead', num_classes=10, in_channels=64, _delete_=True)},
    )
    runner.model.data_preprocessor.views = ('plain',)
    with pytest.raises(TypeError, match='needs a TripartiteHead, got LinearClsHead'):
        runner.train()


def test_begin_epoch_must_not_be_negative():
    with pytest.raises(ValueError, match='begin_epoch must be >= 0, got -1'):
        mmlt.engine.hooks.ClassifierRetrainingHook(begin_epoch=-1)
