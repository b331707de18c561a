# BCL on CIFAR-100-LT, imbalance 10, ResNet-32. Paper, table 3: 64.87. Not run.
_base_ = './resnet32_cifar100-lt-if100.py'
class_counts = 'cifar100-lt-if10'

model = dict(head=dict(class_counts=class_counts))
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
