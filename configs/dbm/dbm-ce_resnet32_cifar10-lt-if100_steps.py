# DBM-CE on CIFAR-10-LT, imbalance 100, ResNet-32, with steps and plain augmentation: the recipe of
# DBM's comparison with Yu et al. (2022).
#
#   python tools/train.py configs/dbm/dbm-ce_resnet32_cifar10-lt-if100_steps.py
#
# DBM paper, supplement, table 2: 74.4 (best epoch on test). Not run.
_base_ = './dbm-ce_resnet32_cifar10-lt-if100.py'

# A tenth of the rate from epochs 161 and 181 on; crop and flip, no AutoAugment, no Cutout.
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='MultiStepLR', milestones=[160, 180], gamma=0.1, by_epoch=True),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.plain_pipeline)))
