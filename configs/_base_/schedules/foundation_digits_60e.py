# For a tiny transformer on balanced digits: 60 epochs, batch 64, AdamW 0.002 with weight decay 0.05,
# cosine after five epochs of warm-up by iterations.
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=5, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=55, begin=5, end=60, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(by_epoch=True, max_epochs=60, val_interval=60)
val_cfg = dict()
test_cfg = dict()
