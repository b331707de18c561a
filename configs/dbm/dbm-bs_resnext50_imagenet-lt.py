# DBM-BS on ImageNet-LT with ResNeXt-50 (32x4d).
#
#   tools/dist_train.sh configs/dbm/dbm-bs_resnext50_imagenet-lt.py 4 --auto-scale-lr
#
# The paper has DBM-BCL (57.4) and DBM-GML (58.6) here. Not run.
_base_ = './dbm-bs_resnet50_imagenet-lt.py'

model = dict(backbone=dict(type='ResNeXt', groups=32, width_per_group=4))
