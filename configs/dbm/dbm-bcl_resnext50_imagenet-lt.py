# DBM-BCL: BCL on ImageNet-LT with ResNeXt-50 (32x4d), with the margin of DBM.
#
#   tools/dist_train.sh configs/dbm/dbm-bcl_resnext50_imagenet-lt.py 4 --auto-scale-lr
#
# DBM paper, table 3: 57.4. Not run.
_base_ = '../bcl/resnext50_imagenet-lt.py'

model = dict(head=dict(margin=dict(type='DBMMargin', max_margin=0.1)))
