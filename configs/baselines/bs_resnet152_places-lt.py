# Balanced softmax (Ren et al. 2020) on Places-LT, ResNet-152.
#
#   tools/dist_train.sh configs/baselines/bs_resnet152_places-lt.py 4
#
# No number in the three papers. Not run.
_base_ = './ce_resnet152_places-lt.py'

model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss')))
