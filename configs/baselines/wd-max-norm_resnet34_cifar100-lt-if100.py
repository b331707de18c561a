# MaxNorm and weight decay (Alshammari et al. 2022) on CIFAR-100-LT, imbalance 100: the second stage.
# Command: wd_resnet34_cifar100-lt-if100.py.
#
# Rate 0.01, decay 0.1 and ten epochs are ours. Not run.
_base_ = './wd_resnet34_cifar100-lt-if100.py'

default_hooks = dict(
    retraining=dict(
        type='ClassifierRetrainingHook',
        begin_epoch=0,
        joint=dict(type='ClassBalancedLoss', beta=0.9999, criterion=dict(type='SoftmaxPairLoss')),
        weight_decay=0.1,
    ),
    max_norm=dict(type='MaxNormHook'),
)
param_scheduler = dict(T_max=10)
train_cfg = dict(max_epochs=10, val_interval=1)
