# BCL as the DBM paper re-ran it, on CIFAR-10-LT, imbalance 100, ResNet-32: cosine schedule, blurred
# views.
#
#   python tools/train.py configs/dbm/bcl_resnet32_cifar10-lt-if100.py
#
# DBM paper, table 2: 82.95 (best epoch on test). Not run.
_base_ = [
    '../_base_/models/resnet32_cifar.py',
    '../_base_/datasets/cifar10-lt.py',
    '../_base_/schedules/dbm_cifar_200e.py',
    '../_base_/default_runtime.py',
]
class_counts = 'cifar10-lt-if100'

# The first view is classified (AutoAugment, Cutout), the other two (SimAugment, blur) are contrasted.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
model = dict(head=dict(type='BCLHead', num_classes=10, in_channels=64, class_counts=class_counts))
train_dataloader = dict(
    batch_size=256,
    dataset=dict(
        class_counts=class_counts, dataset=dict(pipeline=_base_.contrastive_blur_pipeline)
    ),
)
# "For BCL" the paper has another rate and batch than for all else; the decay is the same.
optim_wrapper = dict(optimizer=dict(lr=0.15))
auto_scale_lr = dict(base_batch_size=256)
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
