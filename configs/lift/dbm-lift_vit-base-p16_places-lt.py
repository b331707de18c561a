# DBM-BS on Places-LT through LIFT: the margin on the class vectors' angles.
#
#   python tools/train.py configs/lift/dbm-lift_vit-base-p16_places-lt.py --amp
#
# Not in DBM's paper. Not run.
_base_ = './lift_vit-base-p16_places-lt.py'

model = dict(
    head=dict(
        type='DBMHead',
        scale=25.0,  # a guess: LIFT's; DBM has 32 on CIFAR, 30 on photos
        max_margin=0.1,  # a guess: DBM's default
    )
)
