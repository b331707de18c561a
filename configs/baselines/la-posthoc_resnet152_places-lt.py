# Post-hoc logit adjustment (Menon et al. 2021, eq. 9) on Places-LT, ResNet-152.
#
#   python tools/test.py configs/baselines/la-posthoc_resnet152_places-lt.py CHECKPOINT
#
# No number in the three papers. Not run.
_base_ = './ce_resnet152_places-lt.py'

# Trains as ce_resnet152_places-lt.py, whose checkpoints fit.
model = dict(head=dict(adjustment=dict(type='LogitAdjustment', tau=1.0)))
