# DBM-BCL on CIFAR-100-LT, imbalance 50, ResNet-32 four times as wide.
# DBM paper, supplement, table 3: 61.36 (best epoch on test). Not run.
_base_ = './dbm-bcl_resnet32_cifar100-lt-if50.py'

model = dict(backbone=dict(width=4), head=dict(in_channels=256))
