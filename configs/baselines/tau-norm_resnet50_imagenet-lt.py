# Tau-normalisation (Kang et al. 2020) on ImageNet-LT, ResNet-50.
#
#   python tools/test.py configs/baselines/tau-norm_resnet50_imagenet-lt.py CHECKPOINT
#
# DBM paper, table 3 (from Kang et al.): 46.7. Not run.
_base_ = './ce_resnet50_imagenet-lt.py'

# Trains as ce_resnet50_imagenet-lt.py, whose checkpoints fit. Choose tau on images that are not the
# test's.
model = dict(head=dict(classifier=dict(type='TauNormLinear', tau=1.0)))
