# CE3S on ImageNet-LT with ResNet-50: the second stage, from a checkpoint of the first.
#
#   python tools/train_two_stage.py configs/ce3s/resnet50_imagenet-lt.py \
#       configs/ce3s/stage2_resnet50_imagenet-lt.py --gpus 4 --work-dir work_dirs/ce3s
#
# The paper has the loss and no number for it. Not run.
_base_ = './resnet50_imagenet-lt.py'

# The classifier alone, class-balanced softmax loss (eq. 26; beta of the paper), each class vector in a
# ball (MaxNorm): a shorter one turns faster.
default_hooks = dict(
    retraining=dict(
        type='ClassifierRetrainingHook',
        begin_epoch=0,
        joint=dict(type='ClassBalancedLoss', beta=0.9999, criterion=dict(type='SoftmaxPairLoss')),
    ),
    max_norm=dict(type='MaxNormHook'),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=0.0))
param_scheduler = dict(T_max=10)
train_cfg = dict(max_epochs=10, val_interval=1)
