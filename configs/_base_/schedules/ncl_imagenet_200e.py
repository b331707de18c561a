# NCL on ImageNet-LT: 200 epochs, batch 256, SGD 0.2 with weight decay 2e-4, cosine to 1e-4.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=2e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=200, eta_min=1e-4, by_epoch=True)
auto_scale_lr = dict(base_batch_size=256)

train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=10)
val_cfg = dict()
test_cfg = dict()
