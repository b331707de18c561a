# BCL on CIFAR-10-LT, imbalance 100, ResNet-32, 400 epochs.
# Not in the paper. Not run.
_base_ = './resnet32_cifar10-lt-if100.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=10, by_epoch=True),
    dict(type='MultiStepLR', milestones=[360, 380], gamma=0.1, by_epoch=True),
]
train_cfg = dict(max_epochs=400)
