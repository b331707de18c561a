# Tau-normalisation (Kang et al. 2020) on ImageNet-LT, ResNeXt-50 (32x4d).
#
#   python tools/test.py configs/baselines/tau-norm_resnext50_imagenet-lt.py CHECKPOINT
#
# DBM paper, table 3 (from Kang et al.): 49.4. Not run.
_base_ = './ce_resnext50_imagenet-lt.py'

# Trains as ce_resnext50_imagenet-lt.py, whose checkpoints fit. Choose tau on images that are not the
# test's.
model = dict(head=dict(classifier=dict(type='TauNormLinear', tau=1.0)))
