# NCL on Places-LT, three ResNet-152 from ImageNet weights.
#
#   tools/dist_train.sh configs/ncl/ncl_resnet152_places-lt.py 8
#
# No number in the papers here. Not run.
_base_ = [
    '../_base_/models/resnet152.py',
    '../_base_/datasets/places-lt.py',
    '../_base_/schedules/ncl_places_30e.py',
    '../_base_/default_runtime.py',
]

# View 0 (RandAugment) is classified, view 1 (SimAugment) is the momentum encoder's.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
augments = [_base_.rand_augment, _base_.sim_augment]
two_views = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiView', num_views=[1, 1], transforms=augments),
    dict(type='PackInputs'),
]
pretrained = dict(type='Pretrained', checkpoint='torchvision://resnet152')
expert = dict(_base_.model.backbone, init_cfg=pretrained)
model = dict(
    type='CompanionClassifier',
    companions=dict(momentum=dict(type='MomentumEncoder')),
    backbone=dict(_delete_=True, type='MultiExpertBackbone', num_experts=3, backbone=expert),
    head=dict(
        type='NCLHead',
        num_classes=365,
        in_channels=2048,
        class_counts='places-lt',
        classifier=dict(type='CosineBiasLinear', scale=16.0),
        num_hard=122,
        neck=dict(out_channels=1024, size=65536),
    ),
)
# On 8 GPUs: 256 images a step.
train_dataloader = dict(drop_last=True, dataset=dict(pipeline=two_views))
sync_bn = 'torch'
