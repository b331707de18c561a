# Post-hoc logit adjustment (Menon et al. 2021, eq. 9) on iNaturalist 2018, ResNet-50.
#
#   python tools/test.py configs/baselines/la-posthoc_resnet50_inat2018.py CHECKPOINT
#
# No number in the three papers. Not run.
_base_ = './ce_resnet50_inat2018.py'

# Trains as ce_resnet50_inat2018.py, whose checkpoints fit.
model = dict(head=dict(adjustment=dict(type='LogitAdjustment', tau=1.0)))
