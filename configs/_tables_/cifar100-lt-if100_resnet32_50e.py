# Balanced softmax and DBM-BS with one thing changed at a time, in a quarter of the table's epochs.
#
#   python tools/reproduce.py configs/_tables_/cifar100-lt-if100_resnet32_50e.py
_base_ = './cifar100-lt-if100_resnet32.py'  # how rows are trained

title = 'CIFAR-100-LT, imbalance 100, ResNet-32 (16, 32, 64 channels), 50 epochs'
source = 'none'
# Five epochs of warm-up, as in 200; the cosine ends at the last.
options = {
    'train_cfg.max_epochs': 50,
    'param_scheduler.1.end': 50,
    'param_scheduler.1.T_max': 45,
}
# Classifiers begin as in DBM's released code, see configs/dbm/README.md.
_released_start = {
    'model.head.init_cfg.type': 'Kaiming',
    'model.head.init_cfg.layer': 'Linear',
    'model.head.init_cfg.mode': 'fan_in',
}
_bs = '../baselines/bs_resnet32_cifar100-lt-if100.py'
_dbm = '../dbm/dbm-bs_resnet32_cifar100-lt-if100.py'
rows = [
    dict(name='BS', config=_bs),
    dict(name='BS, cosine classifier', config=_dbm, options={'model.head.max_margin': 0.0}),
    dict(name='DBM-BS, K = 0.1', config=_dbm),
    dict(name='DBM-BS, K = 0.3', config=_dbm, options={'model.head.max_margin': 0.3}),
    dict(name='BS, augmented by images', config=_bs, batch_augment=False),
    dict(name='BS, released start of the classifier', config=_bs, options=_released_start),
    dict(name='BS, float32', config=_bs, fast=None),
    # BCE3S's released code takes the first images of a class, in the order of the files.
    dict(
        name='BS, drawn as in BCE3S',
        config=_bs,
        options={'train_dataloader.dataset.split': 'first_n'},
    ),
]
