# Logit-adjusted loss (Menon et al. 2021, eq. 10) on ImageNet-LT, ResNeXt-50 (32x4d).
#
#   tools/dist_train.sh configs/baselines/la_resnext50_imagenet-lt.py 4
#
# No number in the three papers. Not run.
_base_ = './ce_resnext50_imagenet-lt.py'

# tau is theirs to choose; at 1 this is the balanced softmax.
model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss', tau=1.0)))
