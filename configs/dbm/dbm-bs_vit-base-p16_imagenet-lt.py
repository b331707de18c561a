# DBM-BS fine-tuning of CLIP's ViT-B/16 on ImageNet-LT.
#
#   MMLT_VIT=CLIP_CHECKPOINT python tools/train.py configs/dbm/dbm-bs_vit-base-p16_imagenet-lt.py --amp
#
# Paper, supplement, table 6: 78.9 many, 75.9 medium, 75.1 few, 77.0 all, by LIFT (few parameters
# trained, text features as class vectors), with no settings given; here all is trained. Not run.
_base_ = [
    '../_base_/models/vit-base-p16_clip.py',
    '../_base_/datasets/imagenet-lt.py',
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
        num_classes=1000,
        in_channels=768,
        class_counts='imagenet-lt',
        joint=dict(type='BalancedSoftmaxLoss'),
        scale=30.0,
    )
)
train_dataloader = dict(batch_size=128)
