# BCL on CIFAR-100-LT, imbalance 100, ResNet-32, 400 epochs.
# Paper, table 4: 69.7 many, 53.8 medium, 35.5 few, 53.9 all. Not run.
_base_ = './resnet32_cifar100-lt-if100.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=10, by_epoch=True),
    dict(type='MultiStepLR', milestones=[360, 380], gamma=0.1, by_epoch=True),
]
train_cfg = dict(max_epochs=400)
