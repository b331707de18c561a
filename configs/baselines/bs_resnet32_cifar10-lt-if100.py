# Balanced softmax (Ren et al. 2020) on CIFAR-10-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/baselines/bs_resnet32_cifar10-lt-if100.py
#
# DBM paper, table 2: 83.57 (best epoch on test). Not run.
_base_ = './ce_resnet32_cifar10-lt-if100.py'

model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss')))
