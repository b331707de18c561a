# DBM-BCL on CIFAR-100-LT, imbalance 100, ResNet-32: BCL with DBM's margin, and DBM's schedule.
#
#   python tools/train.py configs/dbm/dbm-bcl_resnet32_cifar100-lt-if100.py
#
# DBM paper, table 2: 51.66 (best epoch on test). Not run.
_base_ = [
    '../_base_/models/resnet32_cifar.py',
    '../_base_/datasets/cifar100-lt.py',
    '../_base_/schedules/dbm_cifar_200e.py',
    '../_base_/default_runtime.py',
]
class_counts = 'cifar100-lt-if100'

# The first view is classified (AutoAugment, Cutout), the other two (SimAugment) are contrasted.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
model = dict(
    head=dict(
        type='BCLHead',
        num_classes=100,
        in_channels=64,
        class_counts=class_counts,
        classifier=dict(type='CosineLinear', scale=32.0),
        margin=dict(type='DBMMargin', max_margin=0.1),
    )
)
train_dataloader = dict(
    dataset=dict(class_counts=class_counts, dataset=dict(pipeline=_base_.contrastive_pipeline)),
)
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
