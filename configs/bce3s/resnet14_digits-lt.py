# BCE3S in two stages on the digits with a network of 109,000 weights; nothing to download.
#
#   python tools/train.py configs/bce3s/resnet14_digits-lt.py
#
# A checkpoint of it and its log come with the package: for a first look at
# test, predict and analyze_model. Settings are those of ResNet-20, nothing was chosen for it.
_base_ = './resnet20_digits-lt.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet_CIFAR',
        depth=18,  # without its fourth stage 14
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        stem_channels=12,
        base_channels=12,
        zero_init_residual=False,
    ),
    head=dict(in_channels=48),
)
# Photos of any size: the digits themselves have it already.
test_pipeline = [dict(type='Resize', scale=8), dict(type='PackInputs')]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
