# DBM-BS on CIFAR-100-LT, imbalance 100, ResNet-32 four times as wide.
#
#   python tools/train.py configs/dbm/dbm-bs_resnet32x4_cifar100-lt-if100.py
#
# Paper, supplement, table 3: 55.17 (best epoch on test). Not run.
_base_ = './dbm-bs_resnet32_cifar100-lt-if100.py'

model = dict(backbone=dict(width=4), head=dict(in_channels=256))
