# Class-balanced sigmoid loss (Cui et al. 2019) on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/baselines/cb-sigmoid_resnet32_cifar100-lt-if100.py
#
# No number in the DBM paper. Not run.
_base_ = './ce_resnet32_cifar100-lt-if100.py'

model = dict(
    head=dict(
        joint=dict(type='ClassBalancedLoss', beta=0.9999, criterion=dict(type='SigmoidPairLoss'))
    )
)
