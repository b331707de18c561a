# The second stage of the published BCE3S run, on the images of its first stage: beta 0.99999 (the
# paper has 0.9999), BatchNorm's statistics drift, the rate is stepped before the epoch (first
# 9.755e-5, last 0). Command: resnet34_cifar100-lt-if100_released.py.
#
# Its log: 57.75 last epoch, 59.20 best on test with flip TTA. Not run.
_base_ = './resnet34_cifar100-lt-if100_released.py'

# ClassifierRetrainingHook trains on the plain view: no partners.
data_preprocessor = dict(views=('plain',), partner='batch')
train_dataloader = dict(dataset=dict(_delete_=True, **_base_.train_set))
default_hooks = dict(
    retraining=dict(
        type='ClassifierRetrainingHook',
        begin_epoch=0,
        joint=dict(type='ClassBalancedLoss', beta=0.99999),
    ),
    batch_norm_drift=dict(type='BatchNormDriftHook'),
    max_norm=dict(type='MaxNormHook'),
    param_scheduler=dict(type='EarlyParamSchedulerHook'),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.0))
param_scheduler = dict(T_max=10)
train_cfg = dict(max_epochs=10, val_interval=1)
