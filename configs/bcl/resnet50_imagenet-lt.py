# BCL on ImageNet-LT with ResNet-50.
#
#   tools/dist_train.sh configs/bcl/resnet50_imagenet-lt.py 4
#
# Paper, table 5: 56.0. Not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/imagenet-lt.py',
    '../_base_/schedules/imagenet_90e.py',
    '../_base_/default_runtime.py',
]

# The first view is classified (RandAugment), the other two (SimAugment) are contrasted.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
model = dict(
    head=dict(
        type='BCLHead',
        num_classes=1000,
        in_channels=2048,
        class_counts='imagenet-lt',
        classifier=dict(type='CosineLinear', scale=30.0),
        neck=dict(hidden_channels=2048, out_channels=1024),
        joint_weight=1.0,
        contrast_weight=0.35,
        temperature=0.07,
    )
)
# On 4 GPUs: 256 images a step.
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=_base_.contrastive_pipeline))
