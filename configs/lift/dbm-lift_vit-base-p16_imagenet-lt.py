# DBM-BS on ImageNet-LT through LIFT: the margin on the class vectors' angles.
#
#   python tools/train.py configs/lift/dbm-lift_vit-base-p16_imagenet-lt.py --amp
#
# DBM's paper, supplement, table 6: 78.9 many, 75.9 medium, 75.1 few, 77.0 all; it gives no settings.
# Not run.
_base_ = './lift_vit-base-p16_imagenet-lt.py'

model = dict(
    head=dict(
        type='DBMHead',
        scale=25.0,  # a guess: LIFT's; DBM has 32 on CIFAR, 30 on photos
        max_margin=0.1,  # a guess: DBM's default
    )
)
