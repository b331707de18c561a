# CE3S, the softmax twin of BCE3S, on CIFAR-10-LT, imbalance 100; first stage.
#
#   python tools/train.py configs/ce3s/resnet32_cifar10-lt-if100.py
#
# Not in the paper. Not run.
_base_ = '../bce3s/resnet32_cifar10-lt-if100.py'

model = dict(
    head=dict(
        joint='softmax',
        contrast=dict(type='SoftmaxPairLoss', loss_weight=0.1),
        uniform=dict(type='SoftmaxUniformLoss', loss_weight=1.0),
    )
)
