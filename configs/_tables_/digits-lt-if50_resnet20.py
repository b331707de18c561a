# Digits, imbalance 50, ResNet-20, 125 epochs, last epoch, no TTA; half an hour on one core.
#
#   OMP_NUM_THREADS=1 python tools/reproduce.py configs/_tables_/digits-lt-if50_resnet20.py
#
# The settings stand in the configs; tools/benchmarks/digits_trials.py tried eight for each method.
title = 'Digits, imbalance 50, ResNet-20 (16, 32, 64 channels)'
source = 'none'
readme = 'README.md'
seeds = [0, 1, 2]
_name = '_resnet20_digits-lt.py'
_chosen = dict(chosen_on='validation', trials=8)
_first = dict(_chosen, reason="CE's rate and decay, nothing tried for the second stage")
rows = [
    dict(name='CE', config=f'../baselines/ce{_name}', **_chosen),
    dict(name='BS', config=f'../baselines/bs{_name}', **_chosen),
    dict(name='DBM-BS', config=f'../dbm/dbm-bs{_name}', **_chosen),
    dict(name='BCE3S', config='../bce3s/resnet20_digits-lt.py', **_chosen),
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
    dict(name='cRT', config=f'../baselines/crt{_name}', load_from='CE', **_first),
    dict(name='LWS', config=f'../baselines/lws{_name}', load_from='CE', **_first),
]
