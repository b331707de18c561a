# LWS (Kang et al. 2020) on ImageNet-LT, ResNeXt-50 (32x4d): the second stage.
#
#   python tools/train_two_stage.py configs/baselines/ce_resnext50_imagenet-lt.py \
#       configs/baselines/lws_resnext50_imagenet-lt.py --gpus 4 --work-dir work_dirs/lws
#
# DBM paper, table 3 (from Kang et al.): 49.9. Not run.
_base_ = './ce_resnext50_imagenet-lt.py'

model = dict(head=dict(classifier=dict(type='ScaledLinear')))
default_hooks = dict(
    retraining=dict(
        type='ClassifierRetrainingHook',
        begin_epoch=0,
        joint='softmax',
        trained='classifier.scale',
    )
)
# Every class equally often; an epoch has as many draws as there are images.
train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler', power=1.0))
param_scheduler = dict(T_max=10)
train_cfg = dict(max_epochs=10, val_interval=1)
