# Logit-adjusted loss (Menon et al. 2021, eq. 10) on iNaturalist 2018, ResNet-50.
#
#   tools/dist_train.sh configs/baselines/la_resnet50_inat2018.py 4
#
# No number in the three papers. Not run.
_base_ = './ce_resnet50_inat2018.py'

# tau is theirs to choose; at 1 this is the balanced softmax.
model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss', tau=1.0)))
