"""Another long tail for a config: what changes, what stays, what it is called."""

import copy
import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from mmlt import load_class_counts
from mmlt.config_class_counts import config_name, parse_class_counts, set_class_counts

CONFIGS = Path(__file__).parents[1] / 'configs'
SPLIT = dict(base='cifar100-lt-if50', val_fraction=0.1)


def read(name: str) -> Config:
    return Config.fromfile(CONFIGS / f'{name}.py')


def values(part, found=None) -> list:
    """Every class_counts of a config, wherever it is."""
    found = [] if found is None else found
    if isinstance(part, dict):
        for key, value in part.items():
            if key.endswith('class_counts') and key != 'class_counts_check':
                found.append(value)
            values(value, found)
    elif isinstance(part, list | tuple):
        for value in part:
            values(value, found)
    return found


@pytest.mark.parametrize(
    ('name', 'places'),
    [
        ('bce3s/resnet34_cifar100-lt-if100', 5),
        ('bce3s/resnet34_cifar100-lt-if100_released', 6),
        ('dbm/dbm-bcl_resnet32x4_cifar100-lt-if100', 5),
        ('baselines/ldam-drw_resnet32_cifar100-lt-if100', 5),
    ],
)
def test_all_places_change_and_nothing_else(name, places):
    cfg = read(name)
    before = copy.deepcopy(cfg.to_dict())
    new = set_class_counts(cfg, 'cifar100-lt-if50')
    assert cfg.to_dict() == before
    # Head, training set, both evaluators and the variables of the file.
    assert values(new.to_dict()) == ['cifar100-lt-if50'] * places
    assert str(new.to_dict()).replace('lt-if50', 'lt-if100') == str(before)


def test_the_base_of_a_shifted_test_set_changes_and_other_counts_stay():
    cfg = read('baselines/ce_resnet32_cifar100-lt-if100')
    shift = dict(base='cifar100-lt-if100', ratio=50, direction='backward', max_count=100)
    cfg.model.head.adjustment = dict(type='LogitAdjustment', target_class_counts=shift)
    cfg.val_evaluator = [cfg.val_evaluator, dict(type='FeatureGeometry', class_counts=[3] * 100)]
    new = set_class_counts(cfg, 'cifar100-lt-if10')
    target = new.model.head.adjustment.target_class_counts
    assert target == dict(shift, base='cifar100-lt-if10')
    load_class_counts(target)
    assert new.val_evaluator[0].class_counts == 'cifar100-lt-if10'
    assert new.val_evaluator[1].class_counts == [3] * 100


def test_the_same_counts_in_numbers_change_too_and_what_stays_is_named(monkeypatch):
    told = []
    monkeypatch.setattr('mmlt.config_class_counts.print_log', lambda text, **_: told.append(text))
    cfg = read('baselines/ce_resnet20_digits-lt')
    name = cfg.model.head.class_counts
    cfg.val_evaluator = [dict(type='ShotAccuracy', class_counts=load_class_counts(name))]
    cfg.test_evaluator = [dict(type='ShotAccuracy', class_counts=[5] * 10)]
    cfg = set_class_counts(cfg, 'digits-lt-if10')
    assert cfg.val_evaluator[0].class_counts == 'digits-lt-if10'
    assert cfg.test_evaluator[0].class_counts == [5] * 10
    said = 'stay: test_evaluator[0].class_counts=[5, 5, 5, 5, 5, 5, 5, 5, 5, 5]'
    assert told[1].endswith(said)


def test_images_are_set_aside_to_validate_on_and_the_test_set_stays():
    cfg = read('bce3s/resnet20_digits-lt')
    spec = dict(base='digits-lt-if50', val_fraction=0.2)
    new = set_class_counts(cfg, spec)
    assert new.test_dataloader == cfg.test_dataloader
    assert new.train_dataloader.dataset.class_counts == spec
    init_default_scope('mmpretrain')
    train, val = (DATASETS.build(new[f'{n}_dataloader'].dataset) for n in ('train', 'val'))
    assert val.draw_hash == train.draw_hash
    assert not set(train.indices) & set(val.indices)
    assert len(train) + len(val) == 314
    # The images of the test's pipeline: no crop.
    assert [type(t).__name__ for t in val.pipeline.transforms] == ['PackInputs']
    assert load_class_counts(new.model.head.class_counts) == train.class_counts


def test_partners_are_drawn_from_the_training_part_alone():
    cfg = read('bce3s/resnet34_cifar100-lt-if100_released')
    new = set_class_counts(cfg, SPLIT)
    train, val = new.train_dataloader.dataset, new.val_dataloader.dataset
    assert (train.type, train.dataset.type) == ('MixPartnerDataset', 'LongTailedDataset')
    assert (val.type, val.part, val.split) == ('LongTailedDataset', 'val', 'first_n')
    assert 'part' not in train.dataset
    assert val.dataset.pipeline == cfg.test_pipeline


def test_a_list_of_photos_is_drawn_from_to_validate():
    cfg = read('baselines/bs_resnet50_inat2018')
    spec = dict(base='inaturalist2018', val_fraction=0.1)
    new = set_class_counts(cfg, spec)
    train, val = new.train_dataloader.dataset, new.val_dataloader.dataset
    assert train.type == val.type == 'LongTailedDataset'
    assert train.dataset == cfg.train_dataloader.dataset
    assert val.dataset.ann_file == 'train2018.json'
    assert val.dataset.pipeline == cfg.test_pipeline
    assert new.test_dataloader.dataset.ann_file == 'val2018.json'


def test_own_data_bring_their_number_of_classes(tmp_path):
    file = tmp_path / 'mine.json'
    file.write_text(json.dumps([50, 20, 3]))
    new = set_class_counts(read('bce3s/resnet50_imagenet-lt'), str(file))
    assert new.model.head.num_classes == new.data_preprocessor.num_classes == 3
    assert new.val_evaluator.class_counts == str(file)


def test_a_config_without_counts_is_refused():
    cfg = Config(dict(model=dict(head=dict(type='LinearClsHead')), val_evaluator=[]))
    with pytest.raises(ValueError, match='this one has none'):
        set_class_counts(cfg, 'cifar100-lt-if50')
    cfg = read('baselines/ce_resnet32_cifar100-lt-if100')
    cfg.val_dataloader = None
    with pytest.raises(ValueError, match='val_dataloader is None'):
        set_class_counts(cfg, SPLIT)


@pytest.mark.parametrize(
    ('text', 'wanted'),
    [
        ('cifar10-lt-if20', 'cifar10-lt-if20'),
        ('imagenet-lt', 'imagenet-lt'),
        ('digits-lt-if50,val_fraction=0.2', dict(base='digits-lt-if50', val_fraction=0.2)),
    ],
)
def test_the_flag_is_read(text, wanted):
    assert parse_class_counts(text) == wanted


@pytest.mark.parametrize(
    'text', ['cifar100-if50', 'no.json', 'digits-lt-if50,val=0.2', 'digits-lt-if50,val_fraction=2']
)
def test_what_the_flag_cannot_mean_is_refused(text):
    with pytest.raises((ValueError, OSError)):
        parse_class_counts(text)


@pytest.mark.parametrize(
    ('config', 'spec', 'wanted'),
    [
        ('a/resnet32_cifar10-lt-if100.py', 'cifar10-lt-if50', 'resnet32_cifar10-lt-if50'),
        ('resnet32_cifar10-lt-if100_400e.py', 'cifar10-lt-if10', 'resnet32_cifar10-lt-if10_400e'),
        ('resnet32_cifar100-lt-if100.py', SPLIT, 'resnet32_cifar100-lt-if50_val0.1'),
        ('resnet50_imagenet-lt.py', 'imagenet-lt', 'resnet50_imagenet-lt'),
        ('ce_resnet20_digits-lt.py', 'digits-lt-if20', 'ce_resnet20_digits-lt_digits-lt-if20'),
        ('resnet32_cifar100-lt-if100.py', 'my/own.json', 'resnet32_cifar100-lt-if100_own'),
        (
            'resnet32_cifar100-lt-if100.py',
            'cifar100-lt-step-if50',
            'resnet32_cifar100-lt-if100_cifar100-lt-step-if50',
        ),
    ],
)
def test_every_tail_has_a_work_dir_of_its_own(config, spec, wanted):
    assert config_name(config, spec) == wanted


def test_a_teacher_gets_the_counts_and_classes_of_its_student():
    cfg = Config.fromfile(CONFIGS / 'gml/dbm-gml_resnet32_cifar100-lt-if100.py')
    changed = set_class_counts(cfg, 'cifar100-lt-if50')
    teacher = changed.model.companions.teacher.model.head
    assert teacher.class_counts == changed.model.head.class_counts == 'cifar100-lt-if50'
    changed = set_class_counts(cfg, [5, 4, 3])
    assert changed.model.companions.teacher.model.head.num_classes == 3
    assert changed.model.head.num_classes == 3
