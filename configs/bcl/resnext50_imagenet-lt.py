# BCL on ImageNet-LT with ResNeXt-50 (32x4d).
# Paper, table 6: 67.2 many, 53.9 medium, 36.5 few, 56.7 all. Not run.
_base_ = './resnet50_imagenet-lt.py'

model = dict(backbone=dict(type='ResNeXt', groups=32, width_per_group=4))
