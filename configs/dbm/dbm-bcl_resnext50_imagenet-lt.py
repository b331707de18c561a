# DBM-BCL: BCL on ImageNet-LT with ResNeXt-50 (32x4d), with the margin of DBM.
#
#   tools/dist_train.sh configs/dbm/dbm-bcl_resnext50_imagenet-lt.py 4
#
# DBM paper, table 3: 57.4. Not run.
_base_ = '../bcl/resnext50_imagenet-lt.py'

# Temperature and weights of DBM's released command, which are BCL's for CIFAR; BCL's own for photos
# are 0.07, 1.0 and 0.35.
model = dict(
    head=dict(
        margin=dict(type='DBMMargin', max_margin=0.1),
        temperature=0.1,
        joint_weight=2.0,
        contrast_weight=0.6,
    )
)
