# Digits, imbalance 50, ResNet-20, 125 epochs, last epoch, no TTA; half an hour on one core.
#
#   python tools/reproduce.py configs/_tables_/digits-lt-if50_resnet20.py
#
# The settings stand in the configs; tools/benchmarks/digits_trials.py tried eight for each method.
title = 'Digits, imbalance 50, ResNet-20 (16, 32, 64 channels)'
source = 'none'
readme = 'README.md'
seeds = [0, 1, 2]
_name = '_resnet20_digits-lt.py'
_chosen = dict(chosen_on='validation', trials=8)
_second = dict(_chosen, reason='as CE, nothing tried for the second stage')
_as_ce = dict(_chosen, reason='as CE, nothing tried for this row')
_taught = dict(load_from='GML teacher', hand_over='model.companions.teacher.checkpoint')
rows = [
    dict(name='CE', config=f'../baselines/ce{_name}', **_chosen),
    dict(name='BS', config=f'../baselines/bs{_name}', **_chosen),
    dict(name='DBM-BS', config=f'../dbm/dbm-bs{_name}', **_chosen),
    dict(name='BCE3S', config='../bce3s/resnet20_digits-lt.py', **_chosen),
    dict(name='BCL', config='../bcl/resnet20_digits-lt.py', **_chosen),
    dict(
        name='LA post-hoc, tau 1',
        config=f'../baselines/ce{_name}',
        weights='CE',
        options={'model.head.adjustment.type': 'LogitAdjustment'},
        **_chosen,
    ),
    dict(
        name='tau-norm, tau 1',
        config=f'../baselines/ce{_name}',
        weights='CE',
        options={
            'model.head.classifier.type': 'TauNormLinear',
            'model.head.classifier.tau': 1.0,
        },
        **_chosen,
    ),
    dict(name='cRT', config=f'../baselines/crt{_name}', load_from='CE', **_second),
    dict(name='LWS', config=f'../baselines/lws{_name}', load_from='CE', **_second),
    dict(name='NCL', config=f'../ncl/ncl{_name}', **_as_ce),
    dict(name='DBM-NCL', config=f'../ncl/dbm-ncl{_name}', **_as_ce),
    dict(name='GML teacher', config='../gml/teacher_resnet32_digits-lt.py', **_as_ce),
    dict(name='GML', config=f'../gml/gml{_name}', **_taught, **_as_ce),
    dict(name='DBM-GML', config=f'../gml/dbm-gml{_name}', **_taught, **_as_ce),
]
