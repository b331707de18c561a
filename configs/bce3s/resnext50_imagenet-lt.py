# BCE3S on ImageNet-LT with ResNeXt-50 (32x4d); first stage. Not run.
_base_ = './resnet50_imagenet-lt.py'

model = dict(backbone=dict(type='ResNeXt', groups=32, width_per_group=4))
