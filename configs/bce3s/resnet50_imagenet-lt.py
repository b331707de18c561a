# BCE3S on ImageNet-LT with ResNet-50; first stage.
#
#   tools/dist_train.sh configs/bce3s/resnet50_imagenet-lt.py 4
#
# 4 x 32 images a step, the paper's 128; one or two GPUs: README.md, "Batch". Paper, table 4: 68.14
# many, 55.90 medium, 40.56 few, 57.85 all (these do not add up). This config: not run to its end.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/imagenet-lt.py',
    '../_base_/schedules/bce3s_imagenet_200e.py',
    '../_base_/default_runtime.py',
]

# Three views of each batch: plain, mixup, cutmix.
data_preprocessor = dict(type='MultiViewDataPreprocessor')
model = dict(
    head=dict(
        type='BCE3SHead',
        num_classes=1000,
        in_channels=2048,
        class_counts='imagenet-lt',
    )
)
