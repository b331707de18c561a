# NCL on iNaturalist 2018, three ResNet-50; it has no contrast there.
#
#   tools/dist_train.sh configs/ncl/ncl_resnet50_inat2018.py 8
#
# No number in the papers here. Not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/inat2018.py',
    '../_base_/schedules/ncl_inat_400e.py',
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
        num_classes=8142,
        in_channels=2048,
        class_counts='inaturalist2018',
        classifier=dict(type='CosineBiasLinear', scale=32.0),
        contrast=None,
    ),
)
# On 8 GPUs: 512 images a step.
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=_base_.rand_augment_pipeline))
sync_bn = 'torch'
