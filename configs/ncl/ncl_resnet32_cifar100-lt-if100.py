# NCL (eqs. N1 to N10 of the README) on CIFAR-100-LT, imbalance 100, three ResNet-32.
#
#   python tools/train.py configs/ncl/ncl_resnet32_cifar100-lt-if100.py
#
# DBM paper, table 2: 56.68 (best epoch on test). Not run.
_base_ = './ncl-no-contrast_resnet32_cifar100-lt-if100.py'

# View 0 (AutoAugment, Cutout) is classified, view 1 (SimAugment with blur) the momentum encoder's.
data_preprocessor = dict(type='MultiViewDataPreprocessor', views='pipeline')
two_views = [
    *_base_.load_image,
    dict(
        type='MultiView',
        num_views=[1, 1],
        transforms=[_base_.auto_augment, _base_.sim_augment_blur],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(drop_last=True, dataset=dict(dataset=dict(pipeline=two_views)))
model = dict(
    type='CompanionClassifier',
    companions=dict(momentum=dict(type='MomentumEncoder')),
    head=dict(contrast=dict(_delete_=True, type='SoftmaxPairLoss')),
)
