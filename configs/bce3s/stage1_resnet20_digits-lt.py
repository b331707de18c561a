# BCE3S on scikit-learn's digits, imbalance 50: the first stage of resnet20_digits-lt.py as a run of
# its own, for stage2_resnet20_digits-lt.py to begin from.
_base_ = './resnet20_digits-lt.py'

custom_hooks = []
param_scheduler = [dict(type='CosineAnnealingLR', T_max=100, eta_min=5e-4, end=100)]
train_cfg = dict(max_epochs=100)
