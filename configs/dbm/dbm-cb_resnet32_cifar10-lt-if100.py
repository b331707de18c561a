# DBM-CB (eq. 10, weights scaled to mean 1) on CIFAR-10-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/dbm/dbm-cb_resnet32_cifar10-lt-if100.py
#
# No number in the DBM paper. Not run.
_base_ = './dbm-ce_resnet32_cifar10-lt-if100.py'

# average='weights' divides by the sum of a batch's weights, as the released code does.
model = dict(
    head=dict(joint=dict(type='ClassBalancedLoss', criterion=dict(type='SoftmaxPairLoss')))
)
