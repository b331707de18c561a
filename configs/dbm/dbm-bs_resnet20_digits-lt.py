# DBM-BS (eq. 11) on scikit-learn's digits, imbalance 50; twice CE's rate was the best of eight settings.
#
#   python tools/train.py configs/dbm/dbm-bs_resnet20_digits-lt.py
_base_ = [
    '../_base_/models/resnet20_cifar.py',
    '../_base_/datasets/digits-lt.py',
    '../_base_/schedules/digits_125e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        type='DBMHead',
        num_classes=10,
        in_channels=64,
        class_counts='digits-lt-if50',
        joint=dict(type='BalancedSoftmaxLoss'),
    )
)
optim_wrapper = dict(optimizer=dict(lr=0.1))
