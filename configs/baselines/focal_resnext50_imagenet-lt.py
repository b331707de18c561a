# Focal loss of softmax probabilities (Lin et al. 2017) on ImageNet-LT, ResNeXt-50 (32x4d).
#
#   tools/dist_train.sh configs/baselines/focal_resnext50_imagenet-lt.py 4
#
# BCL paper, table 6 (with RandAugment): 43.7. Not run.
_base_ = './ce_resnext50_imagenet-lt.py'

model = dict(head=dict(joint=dict(type='SoftmaxFocalLoss', gamma=1.0)))
