# BCE3S on iNaturalist 2018, 400 epochs: the second stage, from a checkpoint of the first.
#
#   python tools/train_two_stage.py configs/bce3s/resnet50_inat2018_400e.py \
#       configs/bce3s/stage2_resnet50_inat2018_400e.py --gpus 4 --work-dir work_dirs/bce3s
#
# Paper, table 5: 75.91 all. Rate and length are those of CIFAR-100-LT; the paper gives none here. Not run.
_base_ = './resnet50_inat2018_400e.py'

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
