"""mmpretrain's own tools on a config of ours."""

import sys
from pathlib import Path

import mmpretrain
import pytest
from commands import ROOT, command

TOOLS = Path(mmpretrain.__file__).parent / '.mim/tools'
CONFIG = ROOT / 'configs/bce3s/resnet20_digits-lt.py'
SHORT = ['--cfg-options', 'train_cfg.max_epochs=1', 'default_hooks.retraining.begin_epoch=125']


def stock(name, *words):
    if not (TOOLS / name).is_file():
        pytest.skip('this mmpretrain was installed without its tools')
    result = command(sys.executable, str(TOOLS / name), CONFIG, *words)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_train(tmp_path):
    # It asks for persistent workers, also where a config has none.
    stock('train.py', '--work-dir', tmp_path, *SHORT)
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_k_fold_cross_validation(tmp_path):
    words = ['--num-splits', '2', '--fold', '0', '--seed', '1', '--work-dir', tmp_path]
    told = stock('kfold-cross-valid.py', *words, *SHORT)
    assert '157 of 314 images are trained on in fold 0; class_counts stay those of all' in told
    assert (tmp_path / 'fold0/epoch_1.pth').is_file()


def test_the_schedule_is_drawn(tmp_path):
    words = ['--not-show', '--save-path', tmp_path / 'rate.png', '--cfg-options']
    stock('visualization/vis_scheduler.py', *words, 'train_cfg.max_epochs=2')
    assert (tmp_path / 'rate.png').stat().st_size > 1000
