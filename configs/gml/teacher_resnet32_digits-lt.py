# The teacher of GML on scikit-learn's digits, imbalance 50: ResNet-32, balanced softmax on cosines.
#
#   python tools/train.py configs/gml/teacher_resnet32_digits-lt.py
_base_ = '../baselines/ce_resnet20_digits-lt.py'

model = dict(
    backbone=dict(depth=32),
    head=dict(
        classifier=dict(type='CosineLinear', scale=30.0),
        joint=dict(type='BalancedSoftmaxLoss'),
    ),
)
