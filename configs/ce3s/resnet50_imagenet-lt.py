# CE3S, the softmax twin of BCE3S, on ImageNet-LT with ResNet-50; first stage.
#
#   tools/dist_train.sh configs/ce3s/resnet50_imagenet-lt.py 4
#
# Not in the paper. Not run.
_base_ = '../bce3s/resnet50_imagenet-lt.py'

model = dict(
    head=dict(
        joint='softmax',
        contrast=dict(type='SoftmaxPairLoss', loss_weight=0.1),
        uniform=dict(type='SoftmaxUniformLoss', loss_weight=1.0),
    )
)
