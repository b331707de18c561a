# Tau-normalisation (Kang et al. 2020) on Places-LT, ResNet-152.
#
#   python tools/test.py configs/baselines/tau-norm_resnet152_places-lt.py CHECKPOINT
#
# No number in the three papers. Not run.
_base_ = './ce_resnet152_places-lt.py'

# Trains as ce_resnet152_places-lt.py, whose checkpoints fit. Choose tau on images that are not the
# test's.
model = dict(head=dict(classifier=dict(type='TauNormLinear', tau=1.0)))
