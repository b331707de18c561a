# LIFT on Places-LT: frozen CLIP, AdaptFormer, text as class vectors,
# balanced softmax. See README.md for the three commands.
#
#   python tools/train.py configs/lift/lift_vit-base-p16_places-lt.py --amp
#
# Not in DBM's paper. Not run.
_base_ = [
    '../_base_/models/vit-base-p16_clip_adaptformer.py',
    '../_base_/datasets/places-lt.py',
    '../_base_/datasets/clip_views.py',
    '../_base_/schedules/lift_10e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = _base_.clip_preprocessor
model = dict(
    tuner=dict(width=8),
    head=dict(
        type='TripartiteHead',
        num_classes=365,
        in_channels=768,
        class_counts='places-lt',
        classifier=dict(type='CosineLinear', scale=25.0),
        joint=dict(type='BalancedSoftmaxLoss'),
        init_cfg=dict(
            type='ClassVectors',
            file='{{$MMLT_CLASS_VECTORS:checkpoints/clip-vit-base-p16_places.pth}}',
        ),
    ),
)

train_pipeline = [dict(type='LoadImageFromFile'), *_base_.clip_augment]
test_pipeline = [dict(type='LoadImageFromFile'), *_base_.clip_test]
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
