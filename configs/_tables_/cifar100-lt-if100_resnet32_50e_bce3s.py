# BCE3S in both stages, the first in 50 epochs instead of 320.
#
#   python tools/reproduce.py configs/_tables_/cifar100-lt-if100_resnet32_50e_bce3s.py
_base_ = './cifar100-lt-if100_resnet32.py'  # how rows are trained

title = 'CIFAR-100-LT, imbalance 100, ResNet-32 (16, 32, 64 channels), BCE3S in 50 epochs'
source = 'none'
# The cosine ends at the last epoch, as in 320.
_epochs = {'train_cfg.max_epochs': 50, 'param_scheduler.T_max': 50}
_stage1 = '../bce3s/resnet32_cifar100-lt-if100.py'
rows = [
    dict(name='BCE3S, stage 1', config=_stage1, options=_epochs),
    dict(
        name='BCE3S, stage 2',
        config='../bce3s/stage2_resnet32_cifar100-lt-if100.py',
        load_from='BCE3S, stage 1',
    ),
    dict(
        name='stage 1 without contrast',
        config=_stage1,
        options=_epochs | {'model.head.contrast': None},
    ),
]
