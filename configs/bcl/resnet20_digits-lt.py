# BCL on scikit-learn's digits, imbalance 50, ResNet-20; CE's schedule was the best of eight.
#
#   python tools/train.py configs/bcl/resnet20_digits-lt.py
_base_ = '../baselines/ce_resnet20_digits-lt.py'

# View 0 is classified, 1 and 2 are contrasted.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
crop = dict(type='RandomCrop', crop_size=8, padding=1)
three_views = [
    dict(type='MultiView', num_views=[3], transforms=[[crop]]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=three_views)))
model = dict(
    head=dict(
        _delete_=True,
        type='BCLHead',
        num_classes=10,
        in_channels=64,
        class_counts='digits-lt-if50',
    )
)
