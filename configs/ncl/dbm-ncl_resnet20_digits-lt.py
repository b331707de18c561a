# DBM-NCL on scikit-learn's digits, imbalance 50, three ResNet-20.
#
#   python tools/train.py configs/ncl/dbm-ncl_resnet20_digits-lt.py
_base_ = './ncl_resnet20_digits-lt.py'

model = dict(
    head=dict(
        classifier=dict(type='CosineLinear', scale=32.0),
        margin=dict(type='DBMMargin', max_margin=0.1),
    )
)
