# BCE3S in two stages on scikit-learn's digits, imbalance 50; nothing to download.
#
#   python tools/train.py configs/bce3s/resnet20_digits-lt.py
_base_ = [
    '../_base_/models/resnet20_cifar.py',
    '../_base_/datasets/digits-lt.py',
    '../_base_/schedules/digits_200e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='MultiViewDataPreprocessor')
model = dict(
    head=dict(type='BCE3SHead', num_classes=10, in_channels=64, class_counts='digits-lt-if50')
)
custom_hooks = [
    # Stage 2: the classifier alone, on the class-balanced loss (eq. 35).
    dict(type='ClassifierRetrainingHook', begin_epoch=160),
]
