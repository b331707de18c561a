"""A run that is resumed with other settings says so; one of another model is refused."""

import copy
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

import mmlt  # noqa: F401
from mmlt.checkpoint import CheckpointError
from mmlt.engine.resumed_settings import differences, other_kinds, settings_of

CONFIG = Path(__file__).parents[2] / 'configs/dbm/dbm-bs_resnet20_digits-lt.py'


def config(work_dir, epochs=1):
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'{work_dir.name}-{epochs}'
    cfg.train_cfg.update(max_epochs=epochs, val_interval=9)
    return cfg


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> str:
    work_dir = tmp_path_factory.mktemp('trained')
    Runner.from_cfg(config(work_dir)).train()
    return str(work_dir / 'epoch_1.pth')


def resume(trained, work_dir, options, capsys) -> str:
    """The line of the log that tells the differences."""
    cfg = config(work_dir, 2)
    cfg.load_from, cfg.resume = trained, True
    cfg.merge_from_dict(options)
    Runner.from_cfg(cfg).train()
    told = capsys.readouterr()
    lines = (told.out + told.err).splitlines()
    return next((line for line in lines if 'resumed with other settings' in line), '')


def test_other_settings_are_told(trained, tmp_path, capsys):
    options = {
        'optim_wrapper.optimizer.lr': 0.5,
        'train_dataloader.batch_size': 16,
        'model.head.max_margin': 0.25,
    }
    line = resume(trained, tmp_path, options, capsys)
    assert 'optim_wrapper.optimizer.lr (0.1 there, 0.5 here)' in line
    assert 'train_dataloader.batch_size (32 there, 16 here)' in line
    assert 'model.head.max_margin (None there, 0.25 here)' in line
    assert 'Rates, momentum, weight decay and schedules go on as the checkpoint has them' in line


def test_the_same_settings_and_more_epochs_or_workers_are_not(trained, tmp_path, capsys):
    options = {'train_dataloader.num_workers': 0, 'default_hooks.logger.interval': 1}
    assert resume(trained, tmp_path, options, capsys) == ''


def test_a_run_of_another_method_is_refused(trained, tmp_path):
    cfg = config(tmp_path, 2)
    cfg.load_from, cfg.resume = trained, True
    cfg.model.head = dict(
        type='TripartiteHead', num_classes=10, in_channels=64, class_counts='digits-lt-if50',
        joint='softmax', classifier=dict(type='CosineLinear')
    )  # fmt: skip
    match = r"another model: .*model.head.type \('DBMHead' there, 'TripartiteHead' here\)"
    with pytest.raises(CheckpointError, match=match):
        Runner.from_cfg(cfg).train()


def test_nothing_of_the_text_is_run(tmp_path):
    there = tmp_path / 'there'
    call = f"__import__('pathlib').Path({str(there)!r}).touch()"
    text = f"model = dict(type='X', n={call})\nrandomness = 3"
    assert settings_of(text) == {'model': {'type': 'X', 'n': call}, 'randomness': 3}
    assert not there.exists()
    assert settings_of('model = (') == settings_of(None) == {}


def test_the_same_in_other_words_is_no_difference():
    before = dict(model=dict(type='mmpretrain.ImageClassifier', head=dict(type='DBMHead')),
                  train_dataloader=[dict(type='LoadImageFromFile')])  # fmt: skip
    now = dict(model=dict(type='ImageClassifier', head=dict(type='mmlt.DBMHead'), _scope_='mmlt'),
               train_dataloader=[dict(type='LoadImageOnce', max_mib=1024)])  # fmt: skip
    assert list(differences(before, now)) == []


def test_another_model_is_one_of_other_types_of_its_parts():
    told = [
        ('model.head.joint.type', None, 'SigmoidPairLoss'),  # perhaps the default, written out
        ('model.train_cfg.augments.type', 'Mixup', 'CutMix'),
        ('model.companions.teacher.model.head.type', 'DBMHead', 'BCLHead'),
        ('optim_wrapper.type', 'OptimWrapper', 'AmpOptimWrapper'),
        ('model.head.scale', 30, 32),
    ]
    other = ('model.backbone.type', 'CifarResNet', 'ResNet')
    assert other_kinds([*told, other]) == [other]


def test_differences_by_hand():
    before = dict(a=[1, dict(type='X', b=2)], c=dict(num_workers=1, d=3), e=None)
    now = copy.deepcopy(before)
    assert list(differences(before, now)) == []
    now['a'][1]['b'], now['c'] = 5, dict(num_workers=9, d=4)
    del now['e']  # None is as good as not there
    assert list(differences(before, now)) == [('a.1.b', 2, 5), ('c.d', 3, 4)]
    assert list(differences([1, 2], [1, 2, 3], 'x.')) == [('x', [1, 2], [1, 2, 3])]
