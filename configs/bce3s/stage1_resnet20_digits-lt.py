# BCE3S on scikit-learn's digits, imbalance 50; nothing to download. The first stage as a run of its
# own, for stage2_resnet20_digits-lt.py to begin from; resnet20_digits-lt.py has both in one run.
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
param_scheduler = [
    dict(type='CosineAnnealingLR', begin=75, end=100, T_max=25, eta_min=5e-4),
]
train_cfg = dict(max_epochs=100)
