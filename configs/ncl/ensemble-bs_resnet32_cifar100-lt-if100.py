# Three experts with balanced softmax that share the first stage and that nothing ties, on
# CIFAR-100-LT, imbalance 100, ResNet-32: what BalPoE and NCL are to be compared with.
#
#   python tools/train.py configs/ncl/ensemble-bs_resnet32_cifar100-lt-if100.py
#
# Not run. No paper has a number for it.
_base_ = '../dbm/dbm-ce_resnet32_cifar100-lt-if100.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MultiExpertBackbone',
        num_experts=3,
        shared_stages=1,
        backbone=dict(type='CifarResNet', depth=32),
    ),
    head=dict(
        type='ExpertsHead',
        head=dict(classifier=dict(type='torch.nn.Linear'), joint=dict(type='BalancedSoftmaxLoss')),
    ),
)
