# 125 epochs, batch 32, SGD 0.05 with weight decay 5e-3, the last 25 on a cosine: the best for CE of
# eight settings on training images that the draw leaves (tools/benchmarks/digits_trials.py).
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-3))
param_scheduler = [dict(type='CosineAnnealingLR', begin=100, end=125, T_max=25)]
auto_scale_lr = dict(base_batch_size=32)

train_cfg = dict(by_epoch=True, max_epochs=125, val_interval=25)
val_cfg = dict()
test_cfg = dict()
