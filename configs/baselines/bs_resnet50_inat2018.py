# Balanced softmax (Ren et al. 2020) on iNaturalist 2018, ResNet-50.
#
#   tools/dist_train.sh configs/baselines/bs_resnet50_inat2018.py 4
#
# DBM paper, table 4 (from others): 67.2. Not run.
_base_ = './ce_resnet50_inat2018.py'

model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss')))
