# LIFT on iNaturalist: as lift_10e.py, twice as long.
_base_ = './lift_10e.py'

param_scheduler = [dict(type='CosineAnnealingLR', T_max=20, by_epoch=True)]
train_cfg = dict(max_epochs=20)
