# LWS (Kang et al. 2020) on scikit-learn's digits, imbalance 50: the second stage.
#
#   python tools/train_two_stage.py configs/baselines/ce_resnet20_digits-lt.py \
#       configs/baselines/lws_resnet20_digits-lt.py --work-dir work_dirs/lws_digits
_base_ = './ce_resnet20_digits-lt.py'

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
train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler', power=1.0))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=25, by_epoch=True)]
train_cfg = dict(max_epochs=25)
