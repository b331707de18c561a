# NCL on scikit-learn's digits, imbalance 50, three ResNet-20.
#
#   python tools/train.py configs/ncl/ncl_resnet20_digits-lt.py
_base_ = '../baselines/ce_resnet20_digits-lt.py'

# View 0 is classified, view 1 is the momentum encoder's.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
crop = dict(type='RandomCrop', crop_size=8, padding=1)
two_views = [
    dict(type='MultiView', num_views=[2], transforms=[[crop]]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=two_views)))
model = dict(
    type='CompanionClassifier',
    companions=dict(momentum=dict(type='MomentumEncoder')),
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
        neck=dict(size=128),  # of 314 training images
    ),
)
