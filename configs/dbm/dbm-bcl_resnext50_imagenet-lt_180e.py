# DBM-BCL: BCL on ImageNet-LT with ResNeXt-50 (32x4d), 180 epochs, with the margin of DBM.
#
#   tools/dist_train.sh configs/dbm/dbm-bcl_resnext50_imagenet-lt_180e.py 4 --auto-scale-lr
#
# DBM paper, supplement, table 4: 68.3 many, 54.3 medium, 38.9 few, 57.6 all. Not run.
_base_ = '../bcl/resnext50_imagenet-lt_180e.py'

model = dict(head=dict(margin=dict(type='DBMMargin', max_margin=0.1)))
