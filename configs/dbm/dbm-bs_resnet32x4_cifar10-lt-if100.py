# DBM-BS on CIFAR-10-LT, imbalance 100, ResNet-32 four times as wide.
#
#   python tools/train.py configs/dbm/dbm-bs_resnet32x4_cifar10-lt-if100.py
#
# Not in the paper. Not run.
_base_ = './dbm-bs_resnet32_cifar10-lt-if100.py'

model = dict(backbone=dict(width=4), head=dict(in_channels=256))
