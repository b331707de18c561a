# BCE3S in two stages on scikit-learn's digits, imbalance 50; nothing to download.
#
#   python tools/train.py configs/bce3s/resnet20_digits-lt.py
_base_ = [
    '../_base_/models/resnet20_cifar.py',
    '../_base_/datasets/digits-lt.py',
    '../_base_/schedules/digits_125e.py',
    '../_base_/default_runtime.py',
]

# Three views of each batch: plain, mixup, cutmix.
data_preprocessor = dict(type='MultiViewDataPreprocessor')
model = dict(
    head=dict(type='BCE3SHead', num_classes=10, in_channels=64, class_counts='digits-lt-if50')
)

# Stage 2 in the last 25 epochs: the classifier alone, on the class-balanced loss (eq. 35).
custom_hooks = [dict(type='ClassifierRetrainingHook', begin_epoch=100)]
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=100, eta_min=5e-4, end=100),
    dict(type='MultiStepLR', milestones=[100], gamma=100),  # back to 0.05
    dict(type='CosineAnnealingLR', T_max=25, begin=100, end=125),
]
