# 160 epochs, then 40 for a second stage that begins at the learning rate where the first one ends.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-3))
param_scheduler = [
    dict(type='CosineAnnealingLR', begin=0, end=160, T_max=160, eta_min=0.01),
    dict(type='CosineAnnealingLR', begin=160, end=200, T_max=40),
]
auto_scale_lr = dict(base_batch_size=32)

train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=10)
val_cfg = dict()
test_cfg = dict()
