# Focal loss of softmax probabilities (Lin et al. 2017) on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/baselines/focal_resnet32_cifar100-lt-if100.py
#
# No number in the DBM paper. Not run.
_base_ = './ce_resnet32_cifar100-lt-if100.py'

model = dict(head=dict(joint=dict(type='SoftmaxFocalLoss', gamma=1.0)))
