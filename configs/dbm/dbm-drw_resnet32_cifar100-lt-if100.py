# DBM-DRW: DBM-CE, then DBM-CB on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/dbm/dbm-drw_resnet32_cifar100-lt-if100.py
#
# DBM paper, table 2: 49.41 (best epoch on test). Here: ../_tables_/README.md.
_base_ = './dbm-ce_resnet32_cifar100-lt-if100.py'

# Class weights in the last 40 epochs.
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', begin_epoch=160))
