# Cross-entropy on Places-LT, ResNet-152, from ImageNet weights; the schedule is ours; crop, flip and colour jitter.
#
#   tools/dist_train.sh configs/baselines/ce_resnet152_places-lt.py 4
#
# No number in the three papers. Not run.
_base_ = [
    '../_base_/models/resnet152.py',
    '../_base_/datasets/places-lt.py',
    '../_base_/schedules/bce3s_places_30e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet152')),
    head=dict(
        type='TripartiteHead',
        num_classes=365,
        in_channels=2048,
        class_counts='places-lt',
        classifier=dict(type='torch.nn.Linear'),
        joint=dict(type='SoftmaxPairLoss'),
    ),
)
