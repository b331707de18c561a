# The network that the BCE3S paper calls a customised ResNet32: an ImageNet ResNet-34 (64 to 512
# channels) with a 3x3 stem and no max-pooling.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=34, num_stages=4, out_indices=(3,), style='pytorch'),
    neck=dict(type='GlobalAveragePooling'),
)
