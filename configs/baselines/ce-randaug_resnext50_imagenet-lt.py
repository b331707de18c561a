# Cross-entropy on ImageNet-LT, ResNeXt-50 (32x4d), with BCL's RandAugment, 90 epochs.
#
#   tools/dist_train.sh configs/baselines/ce-randaug_resnext50_imagenet-lt.py 4
#
# No number for it in the paper. Not run.
_base_ = './ce_resnext50_imagenet-lt.py'

train_dataloader = dict(dataset=dict(pipeline=_base_.rand_augment_pipeline))
