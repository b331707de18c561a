# DBM-BCL on CIFAR-10-LT, imbalance 100, ResNet-32: BCL as DBM's authors ran it, with their margin.
#
#   python tools/train.py configs/dbm/dbm-bcl_resnet32_cifar10-lt-if100.py
#
# DBM paper, table 2: 84.60 (best epoch on test). Not run.
_base_ = './bcl_resnet32_cifar10-lt-if100.py'

model = dict(
    head=dict(
        classifier=dict(type='CosineLinear', scale=32.0),
        margin=dict(type='DBMMargin', max_margin=0.1),
    )
)
