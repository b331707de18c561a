# Cross-entropy on ImageNet-LT, ResNeXt-50 (32x4d).
#
#   tools/dist_train.sh configs/baselines/ce_resnext50_imagenet-lt.py 4
#
# DBM paper, table 3 (from Kang et al. 2020): 44.4. Not run.
_base_ = './ce_resnet50_imagenet-lt.py'

model = dict(backbone=dict(type='ResNeXt', groups=32, width_per_group=4))
