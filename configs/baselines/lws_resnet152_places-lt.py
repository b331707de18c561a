# LWS (Kang et al. 2020) on Places-LT, ResNet-152: the second stage.
#
#   python tools/train_two_stage.py configs/baselines/ce_resnet152_places-lt.py \
#       configs/baselines/lws_resnet152_places-lt.py --gpus 4 --work-dir work_dirs/lws
#
# No number in the three papers. Not run.
_base_ = './ce_resnet152_places-lt.py'

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
