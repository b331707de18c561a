# The network that the BCE3S paper calls a customised ResNet32: an ImageNet ResNet-34 (64 to 512
# channels) with a 3x3 stem and no max-pooling. The last BatchNorm of a block starts at 1, as in the
# released code; mmpretrain's own default is 0.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet_CIFAR',
        depth=34,
        num_stages=4,
        out_indices=(3,),
        style='pytorch',
        zero_init_residual=False,
    ),
    neck=dict(type='GlobalAveragePooling'),
)
