# NCL (eqs. N1 to N7 of the README) without its momentum contrast on CIFAR-10-LT, imbalance 100,
# three ResNet-32. The whole method is ncl_resnet32_cifar10-lt-if100.py.
#
#   python tools/train.py configs/ncl/ncl-no-contrast_resnet32_cifar10-lt-if100.py
#
# Not run. No paper here has a number for it.
_base_ = [
    '../_base_/models/resnet32_cifar.py',
    '../_base_/datasets/cifar10-lt.py',
    '../_base_/schedules/ncl_cifar_400e.py',
    '../_base_/default_runtime.py',
]
class_counts = 'cifar10-lt-if100'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MultiExpertBackbone',
        num_experts=3,
        backbone=dict(type='CifarResNet', depth=32),
    ),
    head=dict(
        type='NCLHead',
        num_classes=10,
        in_channels=64,
        class_counts=class_counts,
        contrast=None,
    ),
)
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
