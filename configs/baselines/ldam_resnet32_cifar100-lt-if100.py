# LDAM (Cao et al. 2019) on CIFAR-100-LT, imbalance 100, ResNet-32.
#
#   python tools/train.py configs/baselines/ldam_resnet32_cifar100-lt-if100.py
#
# DBM paper, table 2: 45.25 (best epoch on test). Here: ../_tables_/README.md.
_base_ = './ce_resnet32_cifar100-lt-if100.py'

model = dict(
    head=dict(
        classifier=dict(type='CosineLinear', scale=30.0),
        margin=dict(type='LDAMMargin', max_margin=0.5),
    )
)
