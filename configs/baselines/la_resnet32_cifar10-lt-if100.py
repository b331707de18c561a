# Logit-adjusted loss (Menon et al. 2021, eq. 10) on CIFAR-10-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/baselines/la_resnet32_cifar10-lt-if100.py
#
# No number in the DBM paper. Not run.
_base_ = './ce_resnet32_cifar10-lt-if100.py'

# tau is theirs to choose; at 1 this is the balanced softmax.
model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss', tau=1.0)))
