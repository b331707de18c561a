"""Class names of training, validation, test and checkpoint: a difference stops the run."""

import os

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

import mmlt  # noqa: F401
from mmlt.checkpoint import CheckpointError
from mmlt.engine.hooks.class_names_check_hook import first_difference

NAMES = ['ant', 'bee', 'cat']


@pytest.fixture
def photos(tmp_path):
    rng = np.random.RandomState(0)
    for part in ('train', 'test'):
        for name in NAMES:
            for i in range(4):
                path = tmp_path / 'photos' / part / name / f'{i}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.randint(0, 255, (16, 16, 3), np.uint8)).save(path)
    return tmp_path / 'photos'


def custom(folder):
    return dict(type='CustomDataset', data_prefix=str(folder), pipeline=PIPELINE)


PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def make(photos, tmp_path, *, num_classes=3, train=None, val=None, test=None, load_from=None,
         hook=None, wrap=None):  # fmt: skip
    loader = dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    train = train or custom(photos / 'train')
    return Runner(
        model=dict(
            type='ImageClassifier',
            backbone=dict(type='CifarResNet', depth=20),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=num_classes, in_channels=64),
            data_preprocessor=dict(type='ClsDataPreprocessor'),
        ),
        work_dir=str(tmp_path / 'run'),
        train_dataloader=dict(loader, dataset=wrap(train) if wrap else train),
        val_dataloader=dict(loader, dataset=val or custom(photos / 'test')),
        test_dataloader=dict(loader, dataset=test or custom(photos / 'test')),
        val_evaluator=dict(type='Accuracy'),
        test_evaluator=dict(type='Accuracy'),
        val_cfg=dict(),
        test_cfg=dict(),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        custom_hooks=[hook or dict(type='ClassNamesCheckHook')],
        load_from=load_from,
        default_scope='mmpretrain',
        experiment_name=f'{tmp_path.name}{os.urandom(4).hex()}',
    )


def test_the_same_names_train_and_test_and_travel_with_the_checkpoint(photos, tmp_path):
    runner = make(photos, tmp_path)
    runner.train()
    runner.test()
    checkpoint = str(tmp_path / 'run' / 'epoch_1.pth')
    assert list(mmlt.checkpoint.load(checkpoint)['meta']['dataset_meta']['classes']) == NAMES
    assert 'accuracy/top1' in make(photos, tmp_path, load_from=checkpoint).test()


def test_a_class_folder_missing_in_the_test_set(photos, tmp_path):
    make(photos, tmp_path).train()
    os.rename(photos / 'test' / 'bee', tmp_path / 'gone')
    runner = make(photos, tmp_path, load_from=str(tmp_path / 'run' / 'epoch_1.pth'))
    with pytest.raises(
        CheckpointError, match=r"class 1 is 'bee' in the checkpoint.*but 'cat'.*2 cl"
    ):
        runner.test()
    with pytest.raises(CheckpointError, match="but 'cat' in the dataset"):
        make(photos, tmp_path, load_from=str(tmp_path / 'run' / 'epoch_1.pth')).val()


def test_a_renamed_folder_in_the_validation_set(photos, tmp_path):
    os.rename(photos / 'test' / 'bee', photos / 'test' / 'Bee')
    with pytest.raises(ValueError, match="class 0 is 'ant' in the training set.*but 'Bee'"):
        make(photos, tmp_path).train()


def test_fewer_classes_are_allowed_by_saying_so(photos, tmp_path):
    make(photos, tmp_path).train()
    os.rename(photos / 'test' / 'bee', tmp_path / 'gone')
    fewer = dict(type='PhotoFolder', data_root=str(photos), split='test', classes=NAMES,
                 allow_missing=True, pipeline=PIPELINE)  # fmt: skip
    runner = make(photos, tmp_path, test=fewer, load_from=str(tmp_path / 'run' / 'epoch_1.pth'))
    runner.test()
    assert set(runner.test_dataloader.dataset.get_gt_labels()) == {0, 2}


def test_a_checkpoint_of_other_classes_is_not_gone_on_from(photos, tmp_path):
    make(photos, tmp_path).train()
    for part in ('train', 'test'):
        os.rename(photos / part / 'ant', photos / part / 'dog')
    last = str(tmp_path / 'run' / 'epoch_1.pth')
    with pytest.raises(CheckpointError, match="class 0 is 'ant' in the checkpoint"):
        make(photos, tmp_path, load_from=last).train()
    runner = make(
        photos, tmp_path, load_from=last, hook=dict(type='ClassNamesCheckHook', checkpoint=False)
    )
    runner.train()
    assert runner.epoch == 1


@pytest.mark.parametrize(
    'wrap', [None, lambda inner: dict(type='RepeatDataset', times=2, dataset=inner)]
)
def test_num_classes_of_any_head(photos, tmp_path, wrap):
    with pytest.raises(ValueError, match='num_classes of LinearClsHead is 4.*has 3 classes'):
        make(photos, tmp_path, num_classes=4, wrap=wrap).train()


def test_a_hidden_folder_is_no_class(photos, tmp_path):
    for part in ('train', 'test'):
        os.rename(photos / part / 'ant', photos / part / '.ipynb_checkpoints')
    with pytest.raises(ValueError, match="hidden folder '.ipynb_checkpoints' for a class"):
        make(photos, tmp_path).train()


def test_images_that_are_dropped_for_their_suffix_are_told(photos, tmp_path):
    Image.new('RGB', (8, 8)).save(photos / 'train' / 'ant' / 'a.webp')
    runner = make(photos, tmp_path)
    runner.train()
    (log,) = (tmp_path / 'run').glob('*/*.log')
    assert '1 images are not read for their suffix' in log.read_text()
    assert 'a.webp' in log.read_text()


def test_a_checkpoint_that_tells_no_names_is_taken(photos, tmp_path):
    runner = make(photos, tmp_path)
    torch.save(dict(state_dict=runner.model.state_dict()), tmp_path / 'bare.pth')
    assert make(photos, tmp_path, load_from=str(tmp_path / 'bare.pth')).test()


@pytest.mark.parametrize(
    ('names', 'others', 'message'),
    [
        (('a', 'b'), ('a', 'b'), ''),
        (None, ('a',), ''),
        (('a', 'b'), ('a',), "class 1 is 'b' in the x (2 classes), "
                             'but no class in the y (1 classes)'),
        (('a',), ('b', 'c'), "class 0 is 'a' in the x (1 classes), but 'b' in the y (2 classes)"),
    ],
)  # fmt: skip
def test_first_difference(names, others, message):
    assert first_difference('x', names, 'y', others) == message
