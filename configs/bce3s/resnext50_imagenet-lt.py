# BCE3S on ImageNet-LT with ResNeXt-50 (32x4d); first stage.
# Paper, table 7: 71.13 many, 54.98 medium, 36.78 few, 58.54 all (these do not add up). Not run.
_base_ = './resnet50_imagenet-lt.py'

model = dict(backbone=dict(type='ResNeXt', groups=32, width_per_group=4))
