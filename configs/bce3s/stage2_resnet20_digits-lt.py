# BCE3S on scikit-learn's digits: the second stage as a run of its own.
#
#   python tools/train_two_stage.py configs/bce3s/stage1_resnet20_digits-lt.py \
#       configs/bce3s/stage2_resnet20_digits-lt.py --work-dir work_dirs/digits
_base_ = './stage1_resnet20_digits-lt.py'

# The classifier alone, on the class-balanced sigmoid loss (eq. 35).
default_hooks = dict(retraining=dict(type='ClassifierRetrainingHook', begin_epoch=0))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=25, end=25)]
train_cfg = dict(max_epochs=25)
