# iNaturalist 2018: photos and the official train2018.json / val2018.json under
# data/inaturalist2018. Its validation set is the benchmark's test set. Mean and std are its own, as
# in the released BCL and DBM: (0.466, 0.471, 0.380) and (0.195, 0.194, 0.192). On 4 GPUs: 256 images
# a step.
_base_ = './photos_224.py'
class_counts = 'inaturalist2018'

data_preprocessor = dict(
    num_classes=8142,
    mean=[118.83, 120.105, 96.9],
    std=[49.725, 49.47, 48.96],
)
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        type='INaturalist2018',
        data_root='data/inaturalist2018',
        ann_file='train2018.json',
    ),
)
val_dataloader = dict(
    batch_size=256,
    dataset=dict(type='INaturalist2018', data_root='data/inaturalist2018', ann_file='val2018.json'),
)
test_dataloader = val_dataloader
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
