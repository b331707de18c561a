# LIFT, 10 epochs: batch 128, SGD 0.01 with weight decay 5e-4 on all that is trained, cosine to 0 by
# epochs, no warm-up.
optim_wrapper = dict(
    constructor='TrainedParametersConstructor',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=10, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=128)

train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=1)
val_cfg = dict()
test_cfg = dict()
