"""NCL, and GML with a teacher, on the digits by the Runner: they learn, resume, and report."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmlt  # noqa: F401
from mmlt.checkpoint import CheckpointError

CONFIGS = Path(__file__).parents[2] / 'configs'
CONFIG = CONFIGS / 'ncl/ncl_resnet20_digits-lt.py'


def short(config, work_dir, resume=False, **options) -> Config:
    """Two epochs of a digits recipe."""
    cfg = Config.fromfile(config)
    cfg.work_dir, cfg.experiment_name = str(work_dir), work_dir.name
    cfg.train_cfg.update(max_epochs=2, val_interval=2)
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=2, eta_min=0.01)]
    cfg.train_dataloader.batch_size = 8
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    cfg.resume = resume
    cfg.merge_from_dict(options)
    return cfg


def run(work_dir, resume=False, **options) -> Runner:
    """NCL, with the accuracy of each expert."""
    shared = {'model.backbone.shared_stages': 2}  # the time of a test
    cfg = short(CONFIG, work_dir, resume, **shared, **options)
    cfg.model.head.keep_experts = True
    cfg.val_evaluator = cfg.test_evaluator = [cfg.val_evaluator, dict(type='ExpertAccuracy')]
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
    # The encoder and the queues went along.
    assert sum('companions.momentum' in name for name in wanted) > 50
    assert wanted['companions.momentum.encoder.updates'] == 80


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('teacher')
    few = {'train_dataloader.batch_size': 32, 'model.backbone.depth': 20}  # the time of a test
    Runner.from_cfg(short(CONFIGS / 'gml/teacher_resnet32_digits-lt.py', work_dir, **few)).train()
    return str(work_dir / 'epoch_2.pth')


def student(work_dir, teacher, **options) -> Runner:
    place = {
        'model.companions.teacher.checkpoint': teacher,
        'model.companions.teacher.model.backbone.depth': 20,
        'train_dataloader.batch_size': 32,
    }
    return Runner.from_cfg(
        short(CONFIGS / 'gml/dbm-gml_resnet20_digits-lt.py', work_dir, **place, **options)
    )


def test_a_student_learns_and_resumes_bit_for_bit(teacher, tmp_path):
    whole, again = tmp_path / 'whole', tmp_path / 'again'
    runner = student(whole, teacher)
    runner.train()
    for name in ('loss_joint', 'loss_distillation'):
        values = runner.message_hub.log_scalars[f'train/{name}'].data[0]
        third = len(values) // 3
        assert values[-third:].mean() < 0.9 * values[:third].mean(), name
    student(again, teacher, resume=True, load_from=str(whole / 'epoch_1.pth')).train()
    wanted, got = state(whole), state(again)
    assert wanted.keys() == got.keys()
    assert [name for name in wanted if not torch.equal(wanted[name], got[name])] == []
    assert not any('companions' in name for name in wanted)
    # A test needs no teacher.
    tested = student(tmp_path / 'test', 'nowhere.pth', load_from=str(whole / 'epoch_2.pth'))
    assert tested.test() == runner.test()


def test_a_run_that_begins_without_the_queues_says_what_it_lacks(whole_run, tmp_path):
    """A second stage, from a checkpoint of the same network without a contrast."""
    _, work_dir, _ = whole_run
    checkpoint = torch.load(work_dir / 'epoch_1.pth', weights_only=True)
    weights = {name: value for name, value in checkpoint['state_dict'].items()
               if 'contrast' not in name and not name.startswith('companions.')}  # fmt: skip
    path = str(tmp_path / 'bare.pth')
    torch.save(dict(state_dict=weights), path)
    with pytest.raises(CheckpointError, match='missing (companions|head.experts.0.slots.contrast)'):
        run(tmp_path / 'refused', load_from=path).train()
    patterns = ['companions.*', 'head.experts.*.slots.contrast.*']
    few = {'train_dataloader.batch_size': 32, 'train_cfg.max_epochs': 1}
    runner = run(
        tmp_path / 'begun', load_from=path, **{'default_hooks.strict_load.missing': patterns}, **few
    )
    runner.train()
    assert runner.model.companions['momentum'].encoder.updates == 10
    # The other way round: a test, and a training that has no place for them.
    full = str(work_dir / 'epoch_1.pth')
    with pytest.raises(CheckpointError, match='unexpected companions.momentum'):
        plain_run(tmp_path / 'plain', full, patterns=()).train()
    plain_run(tmp_path / 'plain2', full, patterns=patterns).test()


def plain_run(work_dir, checkpoint, patterns) -> Runner:
    """The same network in the stock classifier, without a contrast."""
    cfg = short(CONFIG, work_dir, load_from=checkpoint,
                **{'model.backbone.shared_stages': 2, 'model.type': 'ImageClassifier',
                   'default_hooks.strict_load.unexpected': list(patterns)})  # fmt: skip
    cfg.model.head.contrast = None
    cfg.model.head.pop('neck')
    cfg.model.pop('companions')
    return Runner.from_cfg(cfg)
