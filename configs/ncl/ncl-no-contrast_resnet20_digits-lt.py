# NCL without its momentum contrast on scikit-learn's digits, imbalance 50, three ResNet-20.
#
#   python tools/train.py configs/ncl/ncl-no-contrast_resnet20_digits-lt.py
_base_ = '../baselines/ce_resnet20_digits-lt.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MultiExpertBackbone',
        num_experts=3,
        backbone=dict(type='CifarResNet', depth=20),
    ),
    head=dict(
        _delete_=True,
        type='NCLHead',
        num_classes=10,
        in_channels=64,
        class_counts='digits-lt-if50',
    ),
)
