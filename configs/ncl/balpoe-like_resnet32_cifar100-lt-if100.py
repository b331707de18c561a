# Balanced softmax of tau 0, 1 and 2 on three experts that share the first stage, as BalPoE, on
# CIFAR-100-LT, imbalance 100, ResNet-32. The recipe is DBM's, not BalPoE's (which has mixup).
#
#   python tools/train.py configs/ncl/balpoe-like_resnet32_cifar100-lt-if100.py
#
# Not run. No paper has a number for it.
_base_ = './ensemble-bs_resnet32_cifar100-lt-if100.py'

expert = dict(classifier=dict(type='torch.nn.Linear'))
model = dict(
    head=dict(
        head=[
            dict(expert, joint=dict(type='BalancedSoftmaxLoss', tau=0.0)),
            dict(expert, joint=dict(type='BalancedSoftmaxLoss', tau=1.0)),
            dict(expert, joint=dict(type='BalancedSoftmaxLoss', tau=2.0)),
        ],
    )
)
