# Focal loss on CIFAR-10-LT, imbalance 50, ResNet-32.
#
#   python tools/train.py configs/baselines/focal_resnet32_cifar10-lt-if50.py
#
# Not run.
_base_ = './focal_resnet32_cifar10-lt-if100.py'
class_counts = 'cifar10-lt-if50'

model = dict(head=dict(class_counts=class_counts))
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
