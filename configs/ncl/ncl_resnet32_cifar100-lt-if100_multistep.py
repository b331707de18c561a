# As ncl_resnet32_cifar100-lt-if100.py, with a tenth of the rate from epochs 321 and 361 on, as in
# the released NCL.
#
#   python tools/train.py configs/ncl/ncl_resnet32_cifar100-lt-if100_multistep.py
#
# No paper here has a number for it. Not run.
_base_ = './ncl_resnet32_cifar100-lt-if100.py'

param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='MultiStepLR', milestones=[320, 360], gamma=0.1, by_epoch=True),
]
