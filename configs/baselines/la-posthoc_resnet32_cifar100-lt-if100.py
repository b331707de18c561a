# Post-hoc logit adjustment (Menon et al. 2021, eq. 9) on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/test.py configs/baselines/la-posthoc_resnet32_cifar100-lt-if100.py CHECKPOINT
#
# No number in the DBM paper. Here: ../_tables_/README.md.
_base_ = './ce_resnet32_cifar100-lt-if100.py'

# Trains as ce_resnet32_cifar100-lt-if100.py, whose checkpoints fit.
model = dict(head=dict(adjustment=dict(type='LogitAdjustment', tau=1.0)))
