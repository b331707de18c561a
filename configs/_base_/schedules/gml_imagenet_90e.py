# GML on ImageNet-LT: 90 epochs, batch 128, SGD 0.05 with weight decay 5e-4, cosine.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=90, by_epoch=True)
auto_scale_lr = dict(base_batch_size=128)

train_cfg = dict(by_epoch=True, max_epochs=90, val_interval=5)
val_cfg = dict()
test_cfg = dict()
