# DBM-BS on mmpretrain's Swin-T: the base's recipe, another head, ImageNet-LT.
#
#   tools/dist_train.sh configs/mixins/dbm-bs_swin-tiny_imagenet-lt.py 16 --auto-scale-lr
#
# In no paper. Not run.
_base_ = 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py'
custom_imports = dict(imports=['mmlt'], allow_failed_imports=False)

# The head, in one line.
model = dict(head=dict(_delete_=True, type='DBMHead', num_classes=1000, in_channels=768, class_counts='imagenet-lt', joint=dict(type='BalancedSoftmaxLoss')))  # fmt: skip
# A margin needs one label an image: no Mixup, no CutMix.
model.update(train_cfg=None)

lists = 'data/ImageNet_LT/ImageNet_LT_'
images = dict(type='ImageNetLT', data_root='data/imagenet')
train_set = dict(images, ann_file=lists + 'train.txt', pipeline=_base_.train_pipeline)
val_set = dict(images, ann_file=lists + 'val.txt', pipeline=_base_.test_pipeline)
test_set = dict(images, ann_file=lists + 'test.txt', pipeline=_base_.test_pipeline)
train_dataloader = dict(dataset=dict(_delete_=True, **train_set))
val_dataloader = dict(dataset=dict(_delete_=True, **val_set))
test_dataloader = dict(dataset=dict(_delete_=True, **test_set))
val_evaluator = dict(_delete_=True, type='ShotAccuracy', class_counts='imagenet-lt')
test_evaluator = val_evaluator
default_hooks = dict(
    class_counts_check=dict(type='ClassCountsCheckHook'),
    epoch_seed=dict(type='EpochSeedHook'),
)
