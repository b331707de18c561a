# Cross-entropy on scikit-learn's digits, imbalance 50: what BCE3S is compared with.
#
#   python tools/train.py configs/baselines/ce_resnet20_digits-lt.py
_base_ = [
    '../_base_/models/resnet20_cifar.py',
    '../_base_/datasets/digits-lt.py',
    '../_base_/schedules/digits_125e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        type='TripartiteHead',
        num_classes=10,
        in_channels=64,
        class_counts='digits-lt-if50',
        classifier=dict(type='torch.nn.Linear'),
        joint=dict(type='SoftmaxPairLoss'),
    )
)
