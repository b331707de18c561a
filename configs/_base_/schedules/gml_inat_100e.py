# GML on iNaturalist 2018, as DBM ran it: 100 epochs, batch 128, SGD 0.02 with weight decay 2e-4;
# cosine, which it does not say.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=2e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=100, by_epoch=True)
auto_scale_lr = dict(base_batch_size=128)

train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=5)
val_cfg = dict()
test_cfg = dict()
