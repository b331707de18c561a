# The "foundation model" of the digits example: a tiny ViT that has learned balanced digits upside
# down. It has never seen a digit as the long-tailed set shows it, nor a test image.
#
#   python tools/train.py configs/lift/foundation_vit-tiny_digits.py --work-dir work_dirs/foundation
_base_ = [
    '../_base_/models/vit-tiny_digits.py',
    '../_base_/datasets/digits-lt.py',
    '../_base_/schedules/foundation_digits_60e.py',
    '../_base_/default_runtime.py',
]

class_counts = [114] * 10
model = dict(
    head=dict(
        type='TripartiteHead',
        num_classes=10,
        in_channels=64,
        class_counts=class_counts,
        classifier=dict(type='torch.nn.Linear'),
        joint=dict(type='SoftmaxPairLoss'),
    )
)

upside_down = dict(type='RandomFlip', prob=1.0, direction='vertical')
crop = dict(type='RandomCrop', crop_size=8, padding=1)
train_pipeline = [upside_down, crop, dict(type='PackInputs')]
test_pipeline = [upside_down, dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=64,
    dataset=dict(class_counts=class_counts, dataset=dict(pipeline=train_pipeline)),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
