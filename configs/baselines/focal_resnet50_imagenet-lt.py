# Focal loss of softmax probabilities (Lin et al. 2017) on ImageNet-LT, ResNet-50.
#
#   tools/dist_train.sh configs/baselines/focal_resnet50_imagenet-lt.py 4
#
# No number in the three papers. Not run.
_base_ = './ce_resnet50_imagenet-lt.py'

model = dict(head=dict(joint=dict(type='SoftmaxFocalLoss', gamma=1.0)))
