# DBM-BS (eq. 11) on CIFAR-10-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/dbm/dbm-bs_resnet32_cifar10-lt-if100.py
#
# DBM paper, table 2: 84.60 (best epoch on test). Not run.
_base_ = './dbm-ce_resnet32_cifar10-lt-if100.py'

model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss')))
