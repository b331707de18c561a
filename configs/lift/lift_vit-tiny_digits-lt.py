# LIFT on scikit-learn's digits, imbalance 50: AdaptFormer on the frozen foundation, class means as
# class vectors, balanced softmax. README.md has the three commands.
#
#   python tools/train.py configs/lift/lift_vit-tiny_digits-lt.py
_base_ = [
    '../_base_/models/vit-tiny_digits.py',
    '../_base_/datasets/digits-lt.py',
    '../_base_/schedules/lift_digits_30e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='TunedClassifier',
    tuner=dict(type='AdaptFormer', width=4),
    saved='trained',
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$MMLT_VIT:work_dirs/foundation/epoch_60.pth}}',
            prefix='backbone.',
        )
    ),
    head=dict(
        type='TripartiteHead',
        num_classes=10,
        in_channels=64,
        class_counts='digits-lt-if50',
        classifier=dict(type='CosineLinear', scale=25.0),
        joint=dict(type='BalancedSoftmaxLoss'),
        init_cfg=dict(
            type='ClassVectors',
            file='{{$MMLT_CLASS_VECTORS:work_dirs/foundation/class_means.pth}}',
        ),
    ),
)
