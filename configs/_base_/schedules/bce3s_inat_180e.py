# BCE3S on iNaturalist 2018: 180 epochs, batch 256, SGD 0.1 with weight decay 1e-4, cosine.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=180, by_epoch=True)
auto_scale_lr = dict(base_batch_size=256)

train_cfg = dict(by_epoch=True, max_epochs=180, val_interval=5)
val_cfg = dict()
test_cfg = dict()
