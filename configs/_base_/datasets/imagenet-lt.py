# ImageNet-LT (Liu et al. 2019): the photos of ILSVRC-2012 under data/imagenet, the lists under
# data/ImageNet_LT. Tested on the balanced test list; the validation list is for choosing settings.
_base_ = './photos_224.py'
class_counts = 'imagenet-lt'

data_preprocessor = dict(num_classes=1000)
train_dataloader = dict(
    dataset=dict(
        type='ImageNetLT',
        data_root='data/imagenet',
        ann_file='data/ImageNet_LT/ImageNet_LT_train.txt',
    )
)
val_dataloader = dict(
    dataset=dict(
        type='ImageNetLT',
        data_root='data/imagenet',
        ann_file='data/ImageNet_LT/ImageNet_LT_val.txt',
    )
)
test_dataloader = dict(
    dataset=dict(
        type='ImageNetLT',
        data_root='data/imagenet',
        ann_file='data/ImageNet_LT/ImageNet_LT_test.txt',
    )
)
val_evaluator = dict(class_counts=class_counts)
test_evaluator = val_evaluator
