# LIFT's schedule for 314 digits: 30 epochs, batch 32, SGD 0.05 with weight decay 5e-4, cosine to 0.
optim_wrapper = dict(
    constructor='TrainedParametersConstructor',
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=30, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=32)

train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=30)
val_cfg = dict()
test_cfg = dict()
