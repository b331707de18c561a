# LDAM-DRW (Cao et al. 2019) on Places-LT, ResNet-152.
#
#   tools/dist_train.sh configs/baselines/ldam-drw_resnet152_places-lt.py 4
#
# No number in the three papers. Not run.
_base_ = './ce_resnet152_places-lt.py'

model = dict(
    head=dict(
        classifier=dict(type='CosineLinear', scale=30.0),
        margin=dict(type='LDAMMargin', max_margin=0.5),
    )
)
# Class weights in the last fifth of the epochs, as on CIFAR-LT.
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', begin_epoch=24))
