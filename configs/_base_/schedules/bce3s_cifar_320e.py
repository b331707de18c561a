# BCE3S on CIFAR-LT: 320 epochs, batch 64, SGD 0.01 with weight decay 5e-3 on everything, cosine
# to 0 by epochs, no warm-up.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-3))
param_scheduler = dict(type='CosineAnnealingLR', T_max=320, by_epoch=True)
auto_scale_lr = dict(base_batch_size=64)

train_cfg = dict(by_epoch=True, max_epochs=320, val_interval=10)
val_cfg = dict()
test_cfg = dict()
