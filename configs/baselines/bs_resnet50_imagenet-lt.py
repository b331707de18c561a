# Balanced softmax (Ren et al. 2020) on ImageNet-LT, ResNet-50.
#
#   tools/dist_train.sh configs/baselines/bs_resnet50_imagenet-lt.py 4
#
# DBM paper, supplement, table 5 (from others): 51.0. Not run.
_base_ = './ce_resnet50_imagenet-lt.py'

model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss')))
