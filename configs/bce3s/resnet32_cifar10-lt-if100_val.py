# BCE3S on CIFAR-10-LT, imbalance 100, with 10 % of the training images of each class set aside to
# choose settings and epoch by. Validation is on these, tools/test.py on the test set. Not run.
_base_ = './resnet32_cifar10-lt-if100.py'
class_counts = dict(_delete_=True, base='cifar10-lt-if100', val_fraction=0.1)

model = dict(head=dict(class_counts=class_counts))
train_dataloader = dict(dataset=dict(class_counts=class_counts))
train_set = _base_.train_dataloader.dataset
val_dataloader = dict(
    dataset=dict(
        train_set,
        _delete_=True,
        class_counts=class_counts,
        part='val',
        dataset=dict(train_set.dataset, pipeline=_base_.test_pipeline),
    )
)
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
