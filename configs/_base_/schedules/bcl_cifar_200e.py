# BCL on CIFAR-LT: 200 epochs, batch 256, SGD 0.15 with weight decay 5e-4, a tenth of it from epochs
# 161 and 181 on, after five epochs at 1/5, 2/5, ... 5/5 of the rate.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.15, momentum=0.9, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.2, end=5, by_epoch=True),
    dict(type='MultiStepLR', milestones=[160, 180], gamma=0.1, by_epoch=True),
]
auto_scale_lr = dict(base_batch_size=256)

train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=10)
val_cfg = dict()
test_cfg = dict()
