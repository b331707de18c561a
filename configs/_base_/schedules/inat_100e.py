# BCL on iNaturalist 2018, and DBM on top of it: 100 epochs, batch 256, SGD 0.2 with weight decay
# 1e-4, cosine.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=100, by_epoch=True)
auto_scale_lr = dict(base_batch_size=256)

train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=5)
val_cfg = dict()
test_cfg = dict()
