# DBM-BCL: BCL on ImageNet-LT with ResNet-50, with the margin of DBM.
#
#   tools/dist_train.sh configs/dbm/dbm-bcl_resnet50_imagenet-lt.py 4 --auto-scale-lr
#
# DBM paper, supplement, table 5: 64.4 many, 53.9 medium, 41.8 few, 56.3 all. Not run.
_base_ = '../bcl/resnet50_imagenet-lt.py'

model = dict(head=dict(margin=dict(type='DBMMargin', max_margin=0.1)))
