# Logit-adjusted loss (Menon et al. 2021, eq. 10) on Places-LT, ResNet-152.
#
#   tools/dist_train.sh configs/baselines/la_resnet152_places-lt.py 4
#
# No number in the three papers. Not run.
_base_ = './ce_resnet152_places-lt.py'

# tau is theirs to choose; at 1 this is the balanced softmax.
model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss', tau=1.0)))
