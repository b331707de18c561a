# LWS (Kang et al. 2020), learnable weight scaling, on CIFAR-100-LT, imbalance 100, ResNet-32: the second stage.
#
#   python tools/train_two_stage.py configs/baselines/ce_resnet32_cifar100-lt-if100.py \
#       configs/baselines/lws_resnet32_cifar100-lt-if100.py --work-dir work_dirs/lws
#
# The rate is ours; ten epochs with cosine are Kang's on ImageNet-LT. Here: ../_tables_/README.md.
_base_ = './ce_resnet32_cifar100-lt-if100.py'

model = dict(head=dict(classifier=dict(type='ScaledLinear')))
default_hooks = dict(
    # The first stage has no scale.
    strict_load=dict(missing=['head.classifier.scale']),
    retraining=dict(
        type='ClassifierRetrainingHook',
        begin_epoch=0,
        joint='softmax',
        trained='classifier.scale',
    ),
)
# Every class equally often; an epoch has as many draws as there are images.
train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler', power=1.0))
optim_wrapper = dict(optimizer=dict(lr=0.1))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=10, by_epoch=True)]
train_cfg = dict(max_epochs=10, val_interval=1)
