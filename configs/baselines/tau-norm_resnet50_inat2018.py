# Tau-normalisation (Kang et al. 2020) on iNaturalist 2018, ResNet-50.
#
#   python tools/test.py configs/baselines/tau-norm_resnet50_inat2018.py CHECKPOINT
#
# DBM paper, table 4 (from Kang et al.): 65.6. Not run.
_base_ = './ce_resnet50_inat2018.py'

# Trains as ce_resnet50_inat2018.py, whose checkpoints fit. Choose tau on images that are not the
# test's.
model = dict(head=dict(classifier=dict(type='TauNormLinear', tau=1.0)))
