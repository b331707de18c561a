# The teacher of GML on iNaturalist 2018: ResNet-152, balanced softmax on cosines.
#
#   tools/dist_train.sh configs/gml/teacher_resnet152_inat2018.py 4
#
# No number in the papers. Not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/inat2018.py',
    '../_base_/schedules/gml_inat_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(depth=152),
    head=dict(
        type='TripartiteHead',
        num_classes=8142,
        in_channels=2048,
        class_counts='inaturalist2018',
        classifier=dict(type='CosineLinear', scale=30.0),
        joint=dict(type='BalancedSoftmaxLoss'),
    ),
)
# On 4 GPUs: 128 images a step.
train_dataloader = dict(
    batch_size=32, drop_last=True, dataset=dict(pipeline=_base_.rand_augment_pipeline)
)
sync_bn = 'torch'
