# Focal loss of softmax probabilities (Lin et al. 2017) on Places-LT, ResNet-152.
#
#   tools/dist_train.sh configs/baselines/focal_resnet152_places-lt.py 4
#
# No number in the three papers. Not run.
_base_ = './ce_resnet152_places-lt.py'

model = dict(head=dict(joint=dict(type='SoftmaxFocalLoss', gamma=1.0)))
