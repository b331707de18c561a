# NCL on iNaturalist 2018: 400 epochs, batch 512, SGD 0.2 with weight decay 2e-4, cosine.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=2e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=400, by_epoch=True)
auto_scale_lr = dict(base_batch_size=512)

train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=20)
val_cfg = dict()
test_cfg = dict()
