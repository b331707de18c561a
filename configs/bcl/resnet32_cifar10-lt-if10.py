# BCL on CIFAR-10-LT, imbalance 10, ResNet-32. Paper, table 3: 91.12. Not run.
_base_ = './resnet32_cifar10-lt-if100.py'
class_counts = 'cifar10-lt-if10'

model = dict(head=dict(class_counts=class_counts))
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
