# Cross-entropy on ImageNet-LT, ResNet-50, with the schedule of BCL; crop, flip and colour jitter.
#
#   tools/dist_train.sh configs/baselines/ce_resnet50_imagenet-lt.py 4
#
# DBM paper, supplement, table 5 (from Kang et al. 2020): 41.6. Not run.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/imagenet-lt.py',
    '../_base_/schedules/imagenet_90e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        type='TripartiteHead',
        num_classes=1000,
        in_channels=2048,
        class_counts='imagenet-lt',
        classifier=dict(type='torch.nn.Linear'),
        joint=dict(type='SoftmaxPairLoss'),
    ),
)
# On 4 GPUs: 256 images a step.
train_dataloader = dict(batch_size=64)
