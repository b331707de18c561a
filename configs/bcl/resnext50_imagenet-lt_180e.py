# BCL on ImageNet-LT with ResNeXt-50 (32x4d), 180 epochs.
# Paper, table 6: 67.9 many, 54.2 medium, 36.6 few, 57.1 all. Not run.
_base_ = './resnext50_imagenet-lt.py'

param_scheduler = dict(T_max=180)
train_cfg = dict(max_epochs=180)
