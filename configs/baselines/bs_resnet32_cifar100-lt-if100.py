# Balanced softmax (Ren et al. 2020) on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/baselines/bs_resnet32_cifar100-lt-if100.py
#
# DBM paper, table 2: 49.35 (best epoch on test). Here: ../_tables_/README.md.
_base_ = './ce_resnet32_cifar100-lt-if100.py'

model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss')))
