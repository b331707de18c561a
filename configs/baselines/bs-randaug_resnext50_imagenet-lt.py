# Balanced softmax (Ren et al. 2020) on ImageNet-LT, ResNeXt-50 (32x4d), with BCL's RandAugment, 90 epochs.
#
#   tools/dist_train.sh configs/baselines/bs-randaug_resnext50_imagenet-lt.py 4
#
# BCL paper, table 6: 62.2 many, 48.8 medium, 29.8 few, 51.4 all. Not run.
_base_ = './bs_resnext50_imagenet-lt.py'

train_dataloader = dict(dataset=dict(pipeline=_base_.rand_augment_pipeline))
