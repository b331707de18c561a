# GML on scikit-learn's digits, imbalance 50: ResNet-20 with a ResNet-32 as teacher.
#
#   python tools/train_two_stage.py configs/gml/teacher_resnet32_digits-lt.py \
#       configs/gml/gml_resnet20_digits-lt.py --work-dir work_dirs/gml_digits \
#       --hand-over model.companions.teacher.checkpoint
_base_ = './teacher_resnet32_digits-lt.py'

# View 0 is classified, 1 compared with what the teacher made of 2.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
crop = dict(type='RandomCrop', crop_size=8, padding=1)
three_views = [
    dict(type='MultiView', num_views=[3], transforms=[[crop]]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=three_views)))
teacher = dict(type='FrozenTeacher', model=_base_.model, checkpoint=None, views=(0, 2))
model = dict(
    _delete_=True,
    type='CompanionClassifier',
    views=(0, 1),
    companions=dict(teacher=teacher),
    backbone=dict(type='CifarResNet', depth=20),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='GMLHead',
        num_classes=10,
        in_channels=64,
        class_counts='digits-lt-if50',
        queue_size=128,  # of 314 training images
    ),
)
# The learned temperature has no weight decay.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(log_temperature=dict(decay_mult=0.0))))
