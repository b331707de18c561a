# ImageNet-LT (Liu et al. 2019): the photos of ILSVRC-2012 under data/imagenet, the lists under
# data/ImageNet_LT. Tested on the balanced test list; the validation list is for choosing settings.
class_counts = 'imagenet-lt'
data_preprocessor = dict(
    num_classes=1000,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    dataset=dict(
        type='ImageNetLT',
        data_root='data/imagenet',
        ann_file='data/ImageNet_LT/ImageNet_LT_train.txt',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    dataset=dict(
        type='ImageNetLT',
        data_root='data/imagenet',
        ann_file='data/ImageNet_LT/ImageNet_LT_val.txt',
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = dict(
    batch_size=128,
    num_workers=8,
    dataset=dict(
        type='ImageNetLT',
        data_root='data/imagenet',
        ann_file='data/ImageNet_LT/ImageNet_LT_test.txt',
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)

val_evaluator = dict(type='ShotAccuracy', class_counts=class_counts)
test_evaluator = val_evaluator
