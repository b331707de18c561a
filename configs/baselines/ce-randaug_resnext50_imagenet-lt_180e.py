# Cross-entropy on ImageNet-LT, ResNeXt-50 (32x4d), with BCL's RandAugment, 180 epochs.
#
#   tools/dist_train.sh configs/baselines/ce-randaug_resnext50_imagenet-lt_180e.py 4
#
# No number for it in the paper. Not run.
_base_ = './ce-randaug_resnext50_imagenet-lt.py'

param_scheduler = dict(T_max=180)
train_cfg = dict(max_epochs=180)
