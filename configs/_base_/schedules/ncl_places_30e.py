# NCL on Places-LT: 30 epochs, batch 256, SGD 0.02 with weight decay 2e-4; five epochs of warm-up,
# a tenth of the rate from epochs 11 and 21 on.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=2e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=7 / 15, end=5, by_epoch=True),
    dict(type='MultiStepLR', milestones=[10, 20], gamma=0.1, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=256)

train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=1)
val_cfg = dict()
test_cfg = dict()
