# DBM-BS on iNaturalist 2018 with ResNet-50.
#
#   tools/dist_train.sh configs/dbm/dbm-bs_resnet50_inat2018.py 4
#
# The paper has DBM-BCL and DBM-GML here; its schedule, augmentation, s and K. Not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/inat2018.py',
    '../_base_/schedules/inat_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        type='DBMHead',
        num_classes=8142,
        in_channels=2048,
        class_counts='inaturalist2018',
        joint=dict(type='BalancedSoftmaxLoss'),
        scale=30.0,
    )
)

# On 4 GPUs: 256 images a step.
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=_base_.rand_augment_pipeline))
