# The teacher of GML on ImageNet-LT: ResNet-152, balanced softmax on cosines.
#
#   tools/dist_train.sh configs/gml/teacher_resnet152_imagenet-lt.py 4
#
# No number in the papers. Not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/imagenet-lt.py',
    '../_base_/schedules/gml_imagenet_90e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(depth=152),
    head=dict(
        type='TripartiteHead',
        num_classes=1000,
        in_channels=2048,
        class_counts='imagenet-lt',
        classifier=dict(type='CosineLinear', scale=30.0),
        joint=dict(type='BalancedSoftmaxLoss'),
    ),
)
# On 4 GPUs: 128 images a step.
train_dataloader = dict(
    batch_size=32, drop_last=True, dataset=dict(pipeline=_base_.rand_augment_pipeline)
)
sync_bn = 'torch'
