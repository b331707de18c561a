# GML on CIFAR-10-LT, imbalance 100: ResNet-32 with a ResNet-56 as teacher.
#
#   python tools/train_two_stage.py configs/gml/teacher_resnet56_cifar10-lt-if100.py \
#       configs/gml/gml_resnet32_cifar10-lt-if100.py --work-dir work_dirs/gml_cifar10 \
#       --hand-over model.companions.teacher.checkpoint
#
# DBM paper, table 2: 85.19 (best epoch on test). Not run.
_base_ = './teacher_resnet56_cifar10-lt-if100.py'

# View 0 is classified, 1 compared with what the teacher made of 2; all augmented alike.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
three_views = [
    *_base_.load_image,
    dict(type='MultiView', num_views=[3], transforms=[_base_.auto_augment]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=three_views)))
teacher = dict(type='FrozenTeacher', model=_base_.model, checkpoint=None, views=(0, 2))
model = dict(
    _delete_=True,
    type='CompanionClassifier',
    views=(0, 1),
    companions=dict(teacher=teacher),
    backbone=dict(type='CifarResNet', depth=32),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='GMLHead', num_classes=10, in_channels=64, class_counts=_base_.class_counts),
)
# The learned temperature has no weight decay.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(log_temperature=dict(decay_mult=0.0))))
