# DBM-BS (eq. 11) on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/dbm/dbm-bs_resnet32_cifar100-lt-if100.py
#
# DBM paper, table 2: 51.30 (best epoch on test). Here: ../_tables_/README.md.
_base_ = './dbm-ce_resnet32_cifar100-lt-if100.py'

model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss')))
