# CIFAR-100-LT, imbalance 100, ResNet-32, 200 epochs, last epoch, no TTA.
#
#   python tools/reproduce.py configs/_tables_/cifar100-lt-if100_resnet32.py
title = 'CIFAR-100-LT, imbalance 100, ResNet-32 (16, 32, 64 channels)'
source = 'DBM paper, table 2 (best epoch on test)'
readme = 'README.md'
seeds = [0]
environment = dict(MMLT_CIFAR='folder')
fast = 'eager'
batch_augment = True
# One thread a run: no workers. Validated every tenth epoch, so that is what "best" is chosen from.
options = {
    'train_dataloader.num_workers': 0,
    'val_dataloader.num_workers': 0,
    'test_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.persistent_workers': False,
    'test_dataloader.persistent_workers': False,
}
_name = '_resnet32_cifar100-lt-if100.py'
rows = [
    dict(
        name='CE',
        config=f'../baselines/ce{_name}',
        paper=44.60,
        reason='above the paper, which does not name its draw: another one gives BS 1.6 less in 50 '
        'epochs (below), which is the size of the distance; float32, augmentation by images and the '
        'released start change less',
    ),
    dict(
        name='BS',
        config=f'../baselines/bs{_name}',
        paper=49.35,
        reason='above the paper, as CE is, perhaps by the draw. Its re-run of BCL has 50.23, where '
        "BCL's authors have 51.93",
    ),
    dict(
        name='DBM-BS',
        config=f'../dbm/dbm-bs{_name}',
        paper=51.30,
        reason='below the paper, and below BS here; in 50 epochs it is above BS (44.25 to 42.36; '
        'K = 0.3 between them, 43.73), so it loses late in the training; why was not found out. The '
        'paper searched K in 0.1 to 0.3 and prints no choice, here it is 0.1',
    ),
    dict(
        name='DBM-CE',
        config=f'../dbm/dbm-ce{_name}',
        paper=46.53,
        reason='below the paper, as DBM-BS is; not found out',
    ),
    dict(
        name='LDAM',
        config=f'../baselines/ldam{_name}',
        paper=45.25,
        reason='largest margin 0.5 and s = 30, as its authors have it, where the paper says s = 32 '
        'and its code 0.1; whether that is why it is below was not run',
    ),
    dict(name='LDAM-DRW', config=f'../baselines/ldam-drw{_name}', paper=48.99, begins_as='LDAM'),
    dict(
        name='CE-DRW',
        config=f'../baselines/ce-drw{_name}',
        paper=48.28,
        begins_as='CE',
        reason='above the paper, as CE and BS are, perhaps by the draw',
    ),
    dict(name='DBM-DRW', config=f'../dbm/dbm-drw{_name}', paper=49.41, begins_as='DBM-CE'),
    dict(name='LA post-hoc', config=f'../baselines/la-posthoc{_name}', weights='CE'),
    dict(name='tau-norm', config=f'../baselines/tau-norm{_name}', weights='CE'),
    dict(name='cRT', config=f'../baselines/crt{_name}', load_from='CE'),
    dict(name='LWS', config=f'../baselines/lws{_name}', load_from='CE'),
    dict(name='BCL', config='../bcl/resnet32_cifar100-lt-if100.py'),
    dict(name='DBM-BCL', config=f'../dbm/dbm-bcl{_name}', paper=51.66),
    dict(name='BCE3S, stage 1', config='../bce3s/resnet32_cifar100-lt-if100.py'),
    dict(
        name='BCE3S, stage 2',
        config='../bce3s/stage2_resnet32_cifar100-lt-if100.py',
        load_from='BCE3S, stage 1',
    ),
]
