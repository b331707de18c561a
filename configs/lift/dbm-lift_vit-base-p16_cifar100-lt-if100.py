# DBM-BS on CIFAR-100-LT, imbalance 100, at 224 pixels through LIFT: the margin on the class vectors' angles.
#
#   python tools/train.py configs/lift/dbm-lift_vit-base-p16_cifar100-lt-if100.py --amp
#
# DBM's paper, supplement, table 6: 83.5 many, 80.0 medium, 77.0 few, 80.3 all; it gives no settings.
# Not run.
_base_ = './lift_vit-base-p16_cifar100-lt-if100.py'

model = dict(
    head=dict(
        type='DBMHead',
        scale=25.0,  # a guess: LIFT's; DBM has 32 on CIFAR, 30 on photos
        max_margin=0.1,  # a guess: DBM's default
    )
)
