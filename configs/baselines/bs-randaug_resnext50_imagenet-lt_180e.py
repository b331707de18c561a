# Balanced softmax (Ren et al. 2020) on ImageNet-LT, ResNeXt-50 (32x4d), with BCL's RandAugment, 180 epochs.
#
#   tools/dist_train.sh configs/baselines/bs-randaug_resnext50_imagenet-lt_180e.py 4
#
# BCL paper, table 6, its own run: 65.8 many, 53.2 medium, 34.1 few, 55.4 all. Not run.
_base_ = './bs-randaug_resnext50_imagenet-lt.py'

param_scheduler = dict(T_max=180)
train_cfg = dict(max_epochs=180)
