# Photos at 224 x 224, as ImageNet-LT, iNaturalist and Places-LT use them. On 4 GPUs: 128 images a
# step.
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

jitter = dict(brightness=0.4, contrast=0.4, saturation=0.4)
crop_and_flip = [
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
]
plain_augment = [*crop_and_flip, dict(type='ColorJitter', **jitter)]
# RandAugment as in timm's 'rand-n2-m10-mstd0.5', with colour jitter before it, as PaCo and BCL have
# it. mmpretrain's preset 'timm_increasing' is another scale: its magnitude 10 leaves 0 bits to
# Posterize, a black image.
enhance = dict(magnitude_range=(-0.9, 0.9), random_negative_prob=0.0)
rand_augment = [
    *plain_augment,
    dict(
        type='RandAugment',
        policies=[
            dict(type='AutoContrast'),
            dict(type='Equalize'),
            dict(type='Invert'),
            dict(type='Rotate', magnitude_range=(0, 30)),
            dict(type='PosterizeFloor', magnitude_range=(0, 4)),
            dict(type='Solarize', magnitude_range=(0, 256)),
            dict(type='SolarizeAdd', magnitude_range=(0, 110)),
            dict(type='ColorTransform', **enhance),
            dict(type='Contrast', **enhance),
            dict(type='Brightness', **enhance),
            dict(type='Sharpness', **enhance),
            dict(type='Shear', magnitude_range=(0, 0.3), direction='horizontal'),
            dict(type='Shear', magnitude_range=(0, 0.3), direction='vertical'),
            dict(type='Translate', magnitude_range=(0, 0.45), direction='horizontal'),
            dict(type='Translate', magnitude_range=(0, 0.45), direction='vertical'),
        ],
        num_policies=2,
        magnitude_level=10,
        magnitude_std=0.5,
        total_level=10,
        hparams=dict(pad_val=[104, 116, 124]),  # the mean, BGR; one number would pad in blue
    ),
]
# SimAugment (SimCLR without blur). torchvision wants RGB; all views leave as BGR.
sim_augment = [
    *crop_and_flip,
    dict(type='NumpyToPIL', to_rgb=True),
    dict(
        type='RandomApply',
        transforms=[dict(type='torchvision/ColorJitter', **jitter, hue=0.1)],
        prob=0.8,
    ),
    dict(type='torchvision/RandomGrayscale', p=0.2),
    dict(type='PILToNumpy', to_bgr=True),
]

train_pipeline = [dict(type='LoadImageFromFile'), *plain_augment, dict(type='PackInputs')]
rand_augment_pipeline = [dict(type='LoadImageFromFile'), *rand_augment, dict(type='PackInputs')]
# View 0 for the classifier, views 1 and 2 for the contrast, of one decoded image.
contrastive_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiView', num_views=[1, 2], transforms=[rand_augment, sim_augment]),
    dict(type='PackInputs'),
]
# BCL's other choices for the two contrasted views (its supplement).
sim_rand_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiView', num_views=[1, 1, 1], transforms=[rand_augment, sim_augment, rand_augment]
    ),
    dict(type='PackInputs'),
]
rand_rand_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiView', num_views=[3], transforms=[rand_augment]),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    dataset=dict(pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    dataset=dict(pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='ShotAccuracy')
test_evaluator = val_evaluator
