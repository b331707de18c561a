# BCL on ImageNet-LT with ResNet-50, 180 epochs.
# Not in the paper. Not run.
_base_ = './resnet50_imagenet-lt.py'

param_scheduler = dict(T_max=180)
train_cfg = dict(max_epochs=180)
