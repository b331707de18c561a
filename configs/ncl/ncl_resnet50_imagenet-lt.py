# NCL on ImageNet-LT, three ResNet-50; it has no contrast there.
#
#   tools/dist_train.sh configs/ncl/ncl_resnet50_imagenet-lt.py 4
#
# No number in the papers here. Not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/imagenet-lt.py',
    '../_base_/schedules/ncl_imagenet_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='MultiExpertBackbone',
        num_experts=3,
        backbone=_base_.model.backbone,
    ),
    head=dict(
        type='NCLHead',
        num_classes=1000,
        in_channels=2048,
        class_counts='imagenet-lt',
        classifier=dict(type='CosineBiasLinear', scale=16.0),
        contrast=None,
    ),
)
# On 4 GPUs: 256 images a step.
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=_base_.rand_augment_pipeline))
sync_bn = 'torch'
