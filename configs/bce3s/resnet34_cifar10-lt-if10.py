# BCE3S on CIFAR-10-LT, imbalance 10, with the paper's network; first stage. Not run.
_base_ = './resnet34_cifar10-lt-if100.py'
class_counts = 'cifar10-lt-if10'

model = dict(head=dict(class_counts=class_counts))
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
