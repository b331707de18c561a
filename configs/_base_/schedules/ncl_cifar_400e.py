# NCL and DBM-NCL on CIFAR-LT: 400 epochs, batch 64, SGD 0.1 with weight decay 2e-4, cosine to 0 by
# epochs (as DBM says of all methods) after five epochs at 1/5, 2/5, ... 5/5 of the rate.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=2e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.2, end=5, by_epoch=True),
    dict(type='CosineAnnealingLR', T_max=395, begin=5, end=400, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=64)

train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=20)
val_cfg = dict()
test_cfg = dict()
