# Balanced softmax (Ren et al. 2020) on scikit-learn's digits, imbalance 50.
#
#   python tools/train.py configs/baselines/bs_resnet20_digits-lt.py
_base_ = './ce_resnet20_digits-lt.py'

model = dict(head=dict(joint=dict(type='BalancedSoftmaxLoss')))
# The best of the same eight settings here is a cosine over all epochs.
param_scheduler = [dict(type='CosineAnnealingLR', T_max=125)]
