# As teacher_resnet56_cifar100-lt-if100.py, with the recipe of the released GML.
#
#   python tools/train.py configs/gml/teacher_resnet56_cifar100-lt-if100_authors.py
#
# No number in the papers. Not run.
_base_ = './teacher_resnet56_cifar100-lt-if100.py'

# A tenth of the rate from epochs 162 and 182 on.
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='MultiStepLR', milestones=[161, 181], gamma=0.1, by_epoch=True),
]
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4))
train_dataloader = dict(batch_size=128)
auto_scale_lr = dict(base_batch_size=128)
