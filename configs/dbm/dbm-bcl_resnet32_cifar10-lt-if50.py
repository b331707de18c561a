# DBM-BCL on CIFAR-10-LT, imbalance 50, ResNet-32.
# DBM paper, table 2: 87.16 (best epoch on test). Not run.
_base_ = './dbm-bcl_resnet32_cifar10-lt-if100.py'
class_counts = 'cifar10-lt-if50'

model = dict(head=dict(class_counts=class_counts))
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
