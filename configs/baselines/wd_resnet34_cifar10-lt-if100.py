# Weight decay (Alshammari et al. 2022) on CIFAR-10-LT, imbalance 100: cross-entropy with the network,
# rate and decay that BCE3S takes over from there; the first stage.
#
#   python tools/train_two_stage.py configs/baselines/wd_resnet34_cifar10-lt-if100.py \
#       configs/baselines/wd-max-norm_resnet34_cifar10-lt-if100.py --work-dir work_dirs/wd
#
# No number in the three papers. Not run.
_base_ = [
    '../_base_/models/resnet34_cifar.py',
    '../_base_/datasets/cifar10-lt.py',
    '../_base_/schedules/bce3s_cifar_320e.py',
    '../_base_/default_runtime.py',
]
class_counts = 'cifar10-lt-if100'

model = dict(
    head=dict(
        type='TripartiteHead',
        num_classes=10,
        in_channels=512,
        class_counts=class_counts,
        classifier=dict(type='torch.nn.Linear'),
        joint=dict(type='SoftmaxPairLoss'),
    )
)
train_dataloader = dict(dataset=dict(class_counts=class_counts))
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
