# BCE3S on CIFAR-100-LT, imbalance 100, with the small ResNet-32 of the long-tail literature.
#
#   python tools/train.py configs/bce3s/resnet32_cifar100-lt-if100.py
#
# Not in the paper, whose "ResNet32" is a ResNet-34. Here in 50 epochs 20.98; all of them: not run.
_base_ = [
    '../_base_/models/resnet32_cifar.py',
    '../_base_/datasets/cifar100-lt.py',
    '../_base_/schedules/bce3s_cifar_320e.py',
    '../_base_/default_runtime.py',
]
class_counts = 'cifar100-lt-if100'

data_preprocessor = dict(type='MultiViewDataPreprocessor')
model = dict(
    head=dict(type='BCE3SHead', num_classes=100, in_channels=64, class_counts=class_counts)
)
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
