# cRT (Kang et al. 2020), classifier re-training, on CIFAR-100-LT, imbalance 100, ResNet-32: the second stage.
#
#   python tools/train_two_stage.py configs/baselines/ce_resnet32_cifar100-lt-if100.py \
#       configs/baselines/crt_resnet32_cifar100-lt-if100.py --work-dir work_dirs/crt
#
# Rate and decay are ours; ten epochs with cosine are Kang's on ImageNet-LT.
# Here: ../_tables_/README.md.
_base_ = './ce_resnet32_cifar100-lt-if100.py'

default_hooks = dict(
    retraining=dict(
        type='ClassifierRetrainingHook',
        begin_epoch=0,
        joint='softmax',
        reset=True,
        weight_decay=5e-4,
    )
)
# Every class equally often; an epoch has as many draws as there are images.
train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler', power=1.0))
optim_wrapper = dict(optimizer=dict(lr=0.1))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=10, by_epoch=True)]
train_cfg = dict(max_epochs=10, val_interval=1)
