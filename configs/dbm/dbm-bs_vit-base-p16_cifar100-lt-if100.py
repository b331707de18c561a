# DBM-BS fine-tuning of CLIP's ViT-B/16 on CIFAR-100-LT, imbalance 100, at 224 pixels.
#
#   MMLT_VIT=CLIP_CHECKPOINT python tools/train.py \
#       configs/dbm/dbm-bs_vit-base-p16_cifar100-lt-if100.py --amp
#
# Paper, supplement, table 6: 83.5 many, 80.0 medium, 77.0 few, 80.3 all, by LIFT; see
# dbm-bs_vit-base-p16_imagenet-lt.py. Not run.
_base_ = [
    '../_base_/models/vit-base-p16_clip.py',
    '../_base_/datasets/cifar100-lt.py',
    '../_base_/schedules/dbm_vit_10e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(  # CLIP's
    mean=[122.771, 116.746, 104.094],
    std=[68.5, 66.632, 70.323],
)
model = dict(
    head=dict(
        type='DBMHead',
        num_classes=100,
        in_channels=768,
        class_counts='cifar100-lt-if100',
        joint=dict(type='BalancedSoftmaxLoss'),
    )
)

big = dict(backend='pillow', interpolation='bicubic')
crop = dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.5, 1.0), **big)
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
train_pipeline = [*_base_.load_image, crop, flip, dict(type='PackInputs')]
test_pipeline = [*_base_.load_image, dict(type='Resize', scale=224, **big), dict(type='PackInputs')]
train_dataloader = dict(batch_size=128, dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
