# DBM-BS beside BCE3S's contrast and uniform slots on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/dbm/dbm-bs-3s_resnet32_cifar100-lt-if100.py
#
# In none of the papers. The margin acts on the plain view; mixup and cutmix have no one label. Not run.
_base_ = './dbm-bs_resnet32_cifar100-lt-if100.py'

# Three views of each batch: plain, mixup, cutmix.
data_preprocessor = dict(type='MultiViewDataPreprocessor')
model = dict(
    head=dict(
        contrast=dict(type='SigmoidPairLoss', loss_weight=0.1),
        uniform=dict(type='SigmoidUniformLoss', loss_weight=1.0),
        neck=dict(reduction='sum'),
    )
)
