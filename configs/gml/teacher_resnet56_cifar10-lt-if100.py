# The teacher of GML on CIFAR-10-LT, imbalance 100: ResNet-56, balanced softmax on cosines.
#
#   python tools/train.py configs/gml/teacher_resnet56_cifar10-lt-if100.py
#
# No number in the papers. Not run.
_base_ = [
    '../_base_/models/resnet32_cifar.py',
    '../_base_/datasets/cifar10-lt.py',
    '../_base_/schedules/dbm_cifar_200e.py',
    '../_base_/default_runtime.py',
]
class_counts = 'cifar10-lt-if100'

model = dict(
    backbone=dict(depth=56),
    head=dict(
        type='TripartiteHead',
        num_classes=10,
        in_channels=64,
        class_counts=class_counts,
        classifier=dict(type='CosineLinear', scale=30.0),
        joint=dict(type='BalancedSoftmaxLoss'),
    ),
)
train_dataloader = dict(drop_last=True, dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
