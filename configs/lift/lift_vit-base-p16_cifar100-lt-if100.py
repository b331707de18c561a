# LIFT on CIFAR-100-LT, imbalance 100, at 224 pixels: frozen CLIP, AdaptFormer, text as class vectors,
# balanced softmax. See README.md for the three commands.
#
#   python tools/train.py configs/lift/lift_vit-base-p16_cifar100-lt-if100.py --amp
#
# DBM's paper, supplement, table 6: 84.0 many, 80.5 medium, 73.8 few, 79.7 all. Not run.
_base_ = [
    '../_base_/models/vit-base-p16_clip_adaptformer.py',
    '../_base_/datasets/cifar100-lt.py',
    '../_base_/datasets/clip_views.py',
    '../_base_/schedules/lift_10e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = _base_.clip_preprocessor
model = dict(
    tuner=dict(width=4),
    head=dict(
        type='TripartiteHead',
        num_classes=100,
        in_channels=768,
        class_counts='cifar100-lt-if100',
        classifier=dict(type='CosineLinear', scale=25.0),
        joint=dict(type='BalancedSoftmaxLoss'),
        init_cfg=dict(
            type='ClassVectors',
            file='{{$MMLT_CLASS_VECTORS:checkpoints/clip-vit-base-p16_cifar100.pth}}',
        ),
    ),
)

train_pipeline = [*_base_.load_image, *_base_.clip_augment]
test_pipeline = [*_base_.load_image, *_base_.clip_test]
train_dataloader = dict(batch_size=128, dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
