# cRT (Kang et al. 2020) on scikit-learn's digits, imbalance 50: the second stage.
#
#   python tools/train_two_stage.py configs/baselines/ce_resnet20_digits-lt.py \
#       configs/baselines/crt_resnet20_digits-lt.py --work-dir work_dirs/crt_digits
_base_ = './ce_resnet20_digits-lt.py'

default_hooks = dict(
    retraining=dict(
        type='ClassifierRetrainingHook',
        begin_epoch=0,
        joint='softmax',
        reset=True,
        weight_decay=5e-4,
    )
)
train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler', power=1.0))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=25, by_epoch=True)]
train_cfg = dict(max_epochs=25)
