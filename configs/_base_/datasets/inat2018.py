# iNaturalist 2018: photos and the official train2018.json / val2018.json under
# data/inaturalist2018. Its validation set is the benchmark's test set.
_base_ = './photos_224.py'
class_counts = 'inaturalist2018'

data_preprocessor = dict(num_classes=8142)
train_dataloader = dict(
    batch_size=256,
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
