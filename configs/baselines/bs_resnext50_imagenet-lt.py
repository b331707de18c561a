# Balanced softmax (Ren et al. 2020) on ImageNet-LT, ResNeXt-50 (32x4d).
#
#   tools/dist_train.sh configs/baselines/bs_resnext50_imagenet-lt.py 4
#
# No number in the three papers. Not run.
_base_ = './ce_resnext50_imagenet-lt.py'

model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss')))
