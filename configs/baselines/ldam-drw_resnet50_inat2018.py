# LDAM-DRW (Cao et al. 2019) on iNaturalist 2018, ResNet-50.
#
#   tools/dist_train.sh configs/baselines/ldam-drw_resnet50_inat2018.py 4
#
# DBM paper, table 4 (from others): 66.1. Not run.
_base_ = './ce_resnet50_inat2018.py'

model = dict(
    head=dict(
        classifier=dict(type='CosineLinear', scale=30.0),
        margin=dict(type='LDAMMargin', max_margin=0.5),
    )
)
# Class weights in the last fifth of the epochs, as on CIFAR-LT.
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', begin_epoch=80))
