# tau-normalisation (Kang et al. 2020) on CIFAR-100-LT, imbalance 100: a checkpoint of CE, tested with
# class vectors divided by their length to the power tau.
#
#   python tools/test.py configs/baselines/tau-norm_resnet32_cifar100-lt-if100.py CHECKPOINT
#
# Choose tau on images that are not the test's. Here, with tau 1: ../_tables_/README.md.
_base_ = './ce_resnet32_cifar100-lt-if100.py'

model = dict(head=dict(classifier=dict(type='TauNormLinear', tau=1.0)))
