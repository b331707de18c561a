# DBM-CE (eqs. 5 and 9) on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/dbm/dbm-ce_resnet32_cifar100-lt-if100.py
#
# DBM paper, table 2: 46.53 (best epoch on test). Here: ../_tables_/README.md.
_base_ = [
    '../_base_/models/resnet32_cifar.py',
    '../_base_/datasets/cifar100-lt.py',
    '../_base_/schedules/dbm_cifar_200e.py',
    '../_base_/default_runtime.py',
]
class_counts = 'cifar100-lt-if100'

model = dict(head=dict(type='DBMHead', num_classes=100, in_channels=64, class_counts=class_counts))
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
