# Ours, for fine-tuning a ViT: 10 epochs, batch 128, SGD 0.01, a tenth of it for the backbone, weight
# decay 5e-4, cosine after one epoch of warm-up by iterations.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=9, begin=1, end=10, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=128)

train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=1)
val_cfg = dict()
test_cfg = dict()
