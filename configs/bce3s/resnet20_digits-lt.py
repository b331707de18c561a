# BCE3S in two stages on scikit-learn's digits, imbalance 50; nothing to download.
#
#   python tools/train.py configs/bce3s/resnet20_digits-lt.py
_base_ = './stage1_resnet20_digits-lt.py'

# Stage 2 in the last 25 epochs: the classifier alone, on the class-balanced loss (eq. 35).
default_hooks = dict(retraining=dict(type='ClassifierRetrainingHook', begin_epoch=100))
param_scheduler = [
    dict(type='CosineAnnealingLR', begin=75, end=100, T_max=25, eta_min=5e-4),
    dict(type='MultiStepLR', milestones=[100], gamma=100),  # back to 0.07, as in the trials
    dict(type='CosineAnnealingLR', T_max=25, begin=100, end=125),
]
train_cfg = dict(max_epochs=125)
