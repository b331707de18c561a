# BCE3S on Places-LT with ResNet-152, from ImageNet weights as is usual on Places-LT.
#
#   tools/dist_train.sh configs/bce3s/resnet152_places-lt.py 4
#
# 4 x 32 images a step; one or two GPUs: README.md, "Batch". Not in the paper: the schedule is ours. Not run.
_base_ = [
    '../_base_/models/resnet152.py',
    '../_base_/datasets/places-lt.py',
    '../_base_/schedules/bce3s_places_30e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='MultiViewDataPreprocessor')
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet152')),
    head=dict(type='BCE3SHead', num_classes=365, in_channels=2048, class_counts='places-lt'),
)
