# Cross-entropy on iNaturalist 2018, ResNet-50, with the schedule of BCL; crop, flip and colour jitter.
#
#   tools/dist_train.sh configs/baselines/ce_resnet50_inat2018.py 4
#
# DBM paper, table 4 (from others): 61.0 (its groups do not add up to it). Not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/inat2018.py',
    '../_base_/schedules/inat_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        type='TripartiteHead',
        num_classes=8142,
        in_channels=2048,
        class_counts='inaturalist2018',
        classifier=dict(type='torch.nn.Linear'),
        joint=dict(type='SoftmaxPairLoss'),
    ),
)
