# Places-LT (Liu et al. 2019): the photos of Places365-Standard (256 pixels) under data/places365,
# the lists under data/Places_LT. Tested on the balanced test list.
_base_ = './photos_224.py'
class_counts = 'places-lt'

data_preprocessor = dict(num_classes=365)
train_dataloader = dict(
    dataset=dict(
        type='PlacesLT',
        data_root='data/places365',
        ann_file='data/Places_LT/Places_LT_train.txt',
    )
)
val_dataloader = dict(
    dataset=dict(
        type='PlacesLT',
        data_root='data/places365',
        ann_file='data/Places_LT/Places_LT_val.txt',
    )
)
test_dataloader = dict(
    dataset=dict(
        type='PlacesLT',
        data_root='data/places365',
        ann_file='data/Places_LT/Places_LT_test.txt',
    )
)
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
