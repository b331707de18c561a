# How LIFT shows images to CLIP: its mean and std (0.4815, 0.4578, 0.4082; 0.2686, 0.2613, 0.2758),
# crops of 8 to 100 percent, mirror images; bilinear with antialiasing, as torchvision has it.
clip_preprocessor = dict(
    mean=[122.7709383, 116.7460125, 104.09373615],
    std=[68.5005327, 66.6321579, 70.32316305],
)
resizing = dict(backend='pillow', interpolation='bilinear')
clip_augment = [
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.08, 1.0), **resizing),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
clip_test = [
    dict(type='ResizeEdge', scale=256, edge='short', **resizing),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
