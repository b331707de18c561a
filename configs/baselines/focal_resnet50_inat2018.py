# Focal loss of softmax probabilities (Lin et al. 2017) on iNaturalist 2018, ResNet-50.
#
#   tools/dist_train.sh configs/baselines/focal_resnet50_inat2018.py 4
#
# No number in the three papers. Not run.
_base_ = './ce_resnet50_inat2018.py'

model = dict(head=dict(joint=dict(type='SoftmaxFocalLoss', gamma=1.0)))
