# As ncl-no-contrast_resnet32_cifar100-lt-if100.py, with a tenth of the rate from epochs 321 and 361 on,
# as in the released NCL.
#
#   python tools/train.py configs/ncl/ncl-no-contrast_resnet32_cifar100-lt-if100_multistep.py
#
# Not run. No paper has a number for it.
_base_ = './ncl-no-contrast_resnet32_cifar100-lt-if100.py'

param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='MultiStepLR', milestones=[320, 360], gamma=0.1, by_epoch=True),
]
