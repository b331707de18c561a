# GML on iNaturalist 2018.
#
#   python tools/train_two_stage.py configs/gml/teacher_resnet152_inat2018.py \
#       configs/gml/gml_resnet50_inat2018.py --gpus 4 --work-dir work_dirs/gml_resnet50_inat2018 \
#       --hand-over model.companions.teacher.checkpoint
#
# DBM paper: 71.2. Not run.
_base_ = './teacher_resnet152_inat2018.py'

# View 0 (RandAugment) is classified, 1 (SimAugment) compared with the teacher's 2.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
train_dataloader = dict(dataset=dict(pipeline=_base_.contrastive_pipeline))
teacher = dict(type='FrozenTeacher', model=_base_.model, checkpoint=None, views=(0, 2))
stages = dict(num_stages=4, out_indices=(3,), style='pytorch', zero_init_residual=False)
model = dict(
    _delete_=True,
    type='CompanionClassifier',
    views=(0, 1),
    companions=dict(teacher=teacher),
    backbone=dict(type='ResNet', depth=50, **stages),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='GMLHead',
        num_classes=8142,
        in_channels=2048,
        class_counts='inaturalist2018',
        neck=dict(base=3, out_channels=1024),
        queue_size=32768,  # a guess: 16384 is too few
        temperature=0.07,
        distillation_weight=0.0,
    ),
)
# The learned temperature has no weight decay.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(log_temperature=dict(decay_mult=0.0))))
