# DBM-NCL on CIFAR-10-LT, imbalance 100, three ResNet-32: the margin is in every term but the contrast.
#
#   python tools/train.py configs/ncl/dbm-ncl_resnet32_cifar10-lt-if100.py
#
# The released code has s = 16: --cfg-options model.head.classifier.scale=16.0
# DBM paper, table 2: 87.53 (best epoch on test). Not run.
_base_ = './ncl_resnet32_cifar10-lt-if100.py'

model = dict(
    head=dict(
        classifier=dict(type='CosineLinear', scale=32.0),
        margin=dict(type='DBMMargin', max_margin=0.1),
    )
)
