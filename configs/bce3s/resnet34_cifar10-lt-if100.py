# BCE3S on CIFAR-10-LT, imbalance 100, with the paper's network; first stage.
#
#   python tools/train.py configs/bce3s/resnet34_cifar10-lt-if100.py
#
# Paper, table 3: 90.08 (second stage). Time and accuracy of this config: not run.
_base_ = [
    '../_base_/models/resnet34_cifar.py',
    '../_base_/datasets/cifar10-lt.py',
    '../_base_/schedules/bce3s_cifar_320e.py',
    '../_base_/default_runtime.py',
]
class_counts = 'cifar10-lt-if100'

# Three views of each batch: plain, mixup, cutmix.
data_preprocessor = dict(type='MultiViewDataPreprocessor')
model = dict(
    head=dict(type='BCE3SHead', num_classes=10, in_channels=512, class_counts=class_counts)
)
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
