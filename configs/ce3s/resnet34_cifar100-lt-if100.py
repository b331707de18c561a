# CE3S, the softmax twin of BCE3S, on CIFAR-100-LT, imbalance 100; first stage.
#
#   python tools/train.py configs/ce3s/resnet34_cifar100-lt-if100.py
#
# Paper, table 2: 54.14. Not run.
_base_ = '../bce3s/resnet34_cifar100-lt-if100.py'

model = dict(
    head=dict(
        joint='softmax',
        contrast=dict(type='SoftmaxPairLoss', loss_weight=0.1),
        uniform=dict(type='SoftmaxUniformLoss', loss_weight=1.0),
    )
)
