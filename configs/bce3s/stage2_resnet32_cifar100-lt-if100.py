# BCE3S on CIFAR-100-LT, imbalance 100: the second stage, from a checkpoint of the first.
#
#   python tools/train_two_stage.py configs/bce3s/resnet32_cifar100-lt-if100.py \
#       configs/bce3s/stage2_resnet32_cifar100-lt-if100.py --work-dir work_dirs/bce3s
#
# Not in the paper. Here after 50 epochs of the first stage 26.55; after all of them: not run.
_base_ = './resnet32_cifar100-lt-if100.py'

# The classifier alone, class-balanced sigmoid loss (eq. 35; beta of the paper), each class vector in a
# ball (MaxNorm): a shorter one turns faster.
default_hooks = dict(
    retraining=dict(
        type='ClassifierRetrainingHook',
        begin_epoch=0,
        joint=dict(type='ClassBalancedLoss', beta=0.9999),
    ),
    max_norm=dict(type='MaxNormHook'),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.0))
param_scheduler = dict(T_max=10)
train_cfg = dict(max_epochs=10, val_interval=1)
