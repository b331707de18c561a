# BCL on iNaturalist 2018 with ResNet-50.
#
#   tools/dist_train.sh configs/bcl/resnet50_inat2018.py 4
#
# Paper, table 5: 71.8. Not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/inat2018.py',
    '../_base_/schedules/inat_100e.py',
    '../_base_/default_runtime.py',
]

# The first view is classified (RandAugment), the other two (SimAugment) are contrasted.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
model = dict(
    head=dict(
        type='BCLHead',
        num_classes=8142,
        in_channels=2048,
        class_counts='inaturalist2018',
        classifier=dict(type='CosineLinear', scale=30.0),
        neck=dict(hidden_channels=2048, out_channels=1024),
        joint_weight=1.0,
        contrast_weight=0.35,
        temperature=0.07,
    )
)
# On 4 GPUs: 256 images a step.
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=_base_.contrastive_pipeline))
