# CIFAR-10-LT: class_counts[k] images of class k; the leaf config names the imbalance factor.
#
# The switch between the two layouts of the data, both under data/cifar10:
#   MMLT_CIFAR=pickle (default): the official files in data/cifar10/cifar-10-batches-py;
#   MMLT_CIFAR=folder: {train,test}/<class>/*.jpg, as tools/dataset_converters writes them.
cifar = '{{$MMLT_CIFAR:pickle}}'
is_folder = dict(pickle=False, folder=True)[cifar]
dataset_type = 'CustomDataset' if is_folder else 'CIFAR10'
train_split = dict(data_prefix='train') if is_folder else dict(split='train', download=False)
test_split = dict(data_prefix='test') if is_folder else dict(split='test', download=False)
load_image = [dict(type='LoadImageFromFile')] if is_folder else []

class_counts = 'cifar10-lt-if100'
data_preprocessor = dict(
    num_classes=10,
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=is_folder,  # the pickles are RGB already
)

auto_augment = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='CifarAutoAugment', is_bgr=is_folder),
    dict(type='CifarCutout', length=16),
]
# SimAugment (SimCLR without blur). BCL names no range for the crop: this one is usual for
# contrastive learning on CIFAR. torchvision wants RGB; the view leaves as it came.
jitter = dict(brightness=0.4, contrast=0.4, saturation=0.4)
sim_augment = [
    dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='NumpyToPIL', to_rgb=is_folder),
    dict(
        type='RandomApply',
        transforms=[dict(type='torchvision/ColorJitter', **jitter, hue=0.1)],
        prob=0.8,
    ),
    dict(type='torchvision/RandomGrayscale', p=0.2),
    dict(type='PILToNumpy', to_bgr=is_folder),
]
# The views of the released DBM-BCL: the same with a blur.
blur = dict(type='torchvision/GaussianBlur', kernel_size=13, sigma=(0.1, 2.0))
sim_augment_blur = [
    *sim_augment[:-1],
    dict(type='RandomApply', transforms=[blur], prob=0.5),
    sim_augment[-1],
]

train_pipeline = [*load_image, *auto_augment, dict(type='PackInputs')]
# View 0 for the classifier, views 1 and 2 for the contrast, of one decoded image.
contrastive_pipeline = [
    *load_image,
    dict(type='MultiView', num_views=[1, 2], transforms=[auto_augment, sim_augment]),
    dict(type='PackInputs'),
]
contrastive_blur_pipeline = [
    *load_image,
    dict(type='MultiView', num_views=[1, 2], transforms=[auto_augment, sim_augment_blur]),
    dict(type='PackInputs'),
]
# Crop and flip alone.
plain_pipeline = [*load_image, *auto_augment[:2], dict(type='PackInputs')]
test_pipeline = [*load_image, dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        type='LongTailedDataset',
        class_counts=class_counts,
        split='ldam',
        dataset=dict(
            type=dataset_type, data_root='data/cifar10', pipeline=train_pipeline, **train_split
        ),
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=2,
    dataset=dict(type=dataset_type, data_root='data/cifar10', pipeline=test_pipeline, **test_split),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='ShotAccuracy', class_counts=class_counts)
test_evaluator = val_evaluator
