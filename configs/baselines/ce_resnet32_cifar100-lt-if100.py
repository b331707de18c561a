# Cross-entropy on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/baselines/ce_resnet32_cifar100-lt-if100.py
#
# DBM paper, table 2: 44.60 (best epoch on test). Here: ../_tables_/README.md.
_base_ = [
    '../_base_/models/resnet32_cifar.py',
    '../_base_/datasets/cifar100-lt.py',
    '../_base_/schedules/dbm_cifar_200e.py',
    '../_base_/default_runtime.py',
]
class_counts = 'cifar100-lt-if100'

model = dict(
    head=dict(
        type='TripartiteHead',
        num_classes=100,
        in_channels=64,
        class_counts=class_counts,
        classifier=dict(type='torch.nn.Linear'),
        joint=dict(type='SoftmaxPairLoss'),
    )
)
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
