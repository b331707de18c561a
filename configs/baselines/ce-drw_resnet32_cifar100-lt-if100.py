# CE-DRW (Cao et al. 2019) on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/baselines/ce-drw_resnet32_cifar100-lt-if100.py
#
# DBM paper, table 2: 48.28 (best epoch on test). Here: ../_tables_/README.md.
_base_ = './ce_resnet32_cifar100-lt-if100.py'

# Class weights in the last 40 epochs.
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', begin_epoch=160))
