# CIFAR-100-LT: as CIFAR-10-LT, with the images under data/cifar100 (cifar-100-python, or folders with
# MMLT_CIFAR=folder). The released code normalises both CIFARs with the same numbers.
_base_ = './cifar10-lt.py'
class_counts = 'cifar100-lt-if100'
dataset_type = 'CustomDataset' if _base_.is_folder else 'CIFAR100'

data_preprocessor = dict(num_classes=100)
train_dataloader = dict(
    dataset=dict(
        class_counts=class_counts,
        dataset=dict(type=dataset_type, data_root='data/cifar100'),
    )
)
val_dataloader = dict(dataset=dict(type=dataset_type, data_root='data/cifar100'))
test_dataloader = val_dataloader
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
