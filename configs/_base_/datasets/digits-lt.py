# scikit-learn's digits, 8x8 pixels, 10 classes; nothing to download. 60 test images a class.
class_counts = 'digits-lt-if50'
data_preprocessor = dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3)

train_pipeline = [
    dict(type='RandomCrop', crop_size=8, padding=1),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,  # mmpretrain's tools would ask for them
    dataset=dict(
        type='LongTailedDataset',
        class_counts=class_counts,
        dataset=dict(type='DigitsLT', split='train', pipeline=train_pipeline),
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    persistent_workers=False,  # mmpretrain's tools would ask for them
    dataset=dict(type='DigitsLT', split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='ShotAccuracy', class_counts=class_counts)
test_evaluator = val_evaluator
