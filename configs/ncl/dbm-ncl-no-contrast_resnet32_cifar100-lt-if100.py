# DBM-NCL without the momentum contrast on CIFAR-100-LT, imbalance 100, three ResNet-32: the margin is in
# every term. Not the whole method: the README says what is missing.
#
#   python tools/train.py configs/ncl/dbm-ncl-no-contrast_resnet32_cifar100-lt-if100.py
#
# The released code has s = 16: --cfg-options model.head.classifier.scale=16.0
# Not run. No paper has a number for it.
_base_ = './ncl-no-contrast_resnet32_cifar100-lt-if100.py'

model = dict(
    head=dict(
        classifier=dict(type='CosineLinear', scale=32.0),
        margin=dict(type='DBMMargin', max_margin=0.1),
    )
)
