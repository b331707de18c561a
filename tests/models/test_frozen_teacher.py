"""A teacher of other classes, or that saw red as blue, is refused."""

import pytest
import torch
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401
from mmlt.checkpoint import CheckpointError
from mmlt.models.classifiers.frozen_teacher import trained_preprocessor

HEAD = dict(num_classes=3, in_channels=64, joint='softmax')
NETWORK = dict(backbone=dict(type='CifarResNet', depth=20), neck=dict(type='GlobalAveragePooling'))
TEACHER = dict(type='ImageClassifier', head=dict(type='TripartiteHead', **HEAD), **NETWORK)
LEVELS = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])


class Photos(torch.utils.data.Dataset):
    metainfo = dict(classes=('ant', 'bee', 'cat'))

    def __len__(self):
        return 4

    def __getitem__(self, i):
        raise AssertionError('nothing is to be trained')


def run(folder, classes=None, to_rgb=True, of_student=True):
    """A run with a teacher whose checkpoint tells classes and channel order."""
    preprocessor = LEVELS | (dict(to_rgb=to_rgb) if to_rgb else {})
    meta = dict(
        cfg=f'data_preprocessor = dict({", ".join(f"{k}={v}" for k, v in preprocessor.items())})'
    )
    meta |= dict(dataset_meta=dict(classes=classes)) if classes else {}
    path = str(folder / 'teacher.pth')
    torch.save(dict(state_dict=MODELS.build(TEACHER).state_dict(), meta=meta), path)
    teacher = dict(type='FrozenTeacher', model=TEACHER, checkpoint=path)
    student = dict(type='MultiViewDataPreprocessor', views='plain', to_rgb=of_student, **LEVELS)
    slots = dict(distillation=dict(type='DistillationSlot'))
    return Runner(
        model=dict(
            type='CompanionClassifier',
            companions=dict(teacher=teacher),
            head=dict(type='TripartiteHead', slots=slots, **HEAD),
            data_preprocessor=student,
            **NETWORK,
        ),
        work_dir=str(folder / 'run'),
        train_dataloader=dict(
            dataset=Photos(), batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=None, logger=None),
        custom_hooks=[dict(type='ClassNamesCheckHook')],
        default_scope='mmpretrain',
        experiment_name=folder.name,
        log_level='ERROR',
    )


def test_classes_in_another_order(tmp_path):
    match = (
        r"class 0 is 'cat' in the teacher .*teacher.pth \(3 classes\), but 'ant' in the training"
    )
    with pytest.raises(CheckpointError, match=match):
        run(tmp_path, classes=['cat', 'bee', 'ant']).train()


@pytest.mark.parametrize('classes', [None, ['ant', 'bee', 'cat'], ['Ant', 'BEE', 'cat']])
def test_the_same_classes_or_none_told_are_taken(classes, tmp_path):
    with pytest.raises(AssertionError, match='nothing is to be trained'):  # it got so far
        run(tmp_path, classes=classes).train()


@pytest.mark.parametrize(('his', 'own'), [(True, False), (False, True)])
def test_another_channel_order(his, own, tmp_path):
    with pytest.raises(CheckpointError, match=f'to_rgb={his}, the student has {own}'):
        run(tmp_path, to_rgb=his, of_student=own).train()


def test_the_channel_order_is_read_from_the_text_of_the_config():
    text = 'data_preprocessor = dict(mean=[0], std=[1], to_rgb=True)'
    assert trained_preprocessor(dict(meta=dict(cfg=text)))['to_rgb'] is True
