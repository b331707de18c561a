"""A config of classes, with read_base() and no default scope, in every tool."""

import importlib
import sys

import pytest
from commands import ROOT, command

BASE = """
from mmengine.dataset import DefaultSampler
from mmpretrain.datasets import PackInputs
from mmlt.datasets import DigitsLT, LongTailedDataset
from mmlt.evaluation import ShotAccuracy

class_counts = 'digits-lt-if50'
pipeline = [dict(type=PackInputs)]
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    dataset=dict(
        type=LongTailedDataset,
        class_counts=class_counts,
        dataset=dict(type=DigitsLT, split='train', pipeline=pipeline),
    ),
    sampler=dict(type=DefaultSampler, shuffle=True),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    dataset=dict(type=DigitsLT, split='test', pipeline=pipeline),
    sampler=dict(type=DefaultSampler, shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=ShotAccuracy, class_counts=class_counts)
test_evaluator = val_evaluator
"""
LEAF = """
from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from mmengine.visualization import LocalVisBackend
from mmpretrain.models import GlobalAveragePooling, ImageClassifier
from mmpretrain.visualization import UniversalVisualizer
from torch.optim import SGD

from mmlt.models.backbones import CifarResNet
from mmlt.models.data_preprocessors import MultiViewDataPreprocessor
from mmlt.models.heads import BCE3SHead

with read_base():
    from .base import *

default_scope = None
data_preprocessor = dict(
    type=MultiViewDataPreprocessor, num_classes=10, mean=[78.0] * 3, std=[96.0] * 3
)
model = dict(
    type=ImageClassifier,
    backbone=dict(type=CifarResNet, depth=20),
    neck=dict(type=GlobalAveragePooling),
    head=dict(type=BCE3SHead, num_classes=10, in_channels=64, class_counts=class_counts),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.05, momentum=0.9))
visualizer = dict(type=UniversalVisualizer, vis_backends=[dict(type=LocalVisBackend)])
train_cfg = dict(by_epoch=True, max_epochs=6, val_interval=6)
val_cfg = dict()
randomness = dict(seed=0)
test_cfg = dict()
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('new_style')
    (root / 'base.py').write_text(BASE)
    (root / 'leaf.py').write_text(LEAF)
    tool(root, 'train.py', '--work-dir', root / 'run')
    return root


def tool(root, name, *words):
    result = command(sys.executable, f'tools/{name}', root / 'leaf.py', *words)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_with_test_time_augmentation(folder):
    told = tool(folder, 'test.py', folder / 'run/epoch_6.pth', '--tta', '--work-dir', folder / 'w')
    assert 'tested on DigitsLT, split test' in told
    plain, flipped = (line.split() for line in told.splitlines()[-2:])
    assert (plain[:2], flipped[:2]) == (['no', 'TTA'], ['flip', 'TTA'])
    # Trained enough to tell classes apart, so a mirrored digit is another one to it.
    assert float(plain[5]) > 30
    assert plain[2:] != flipped[2:]


@pytest.mark.parametrize('words', [('--out',), ('--class-counts', 'digits-lt-if20', '--out')])
def test_the_network_sees_images(folder, tmp_path, words, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools/analysis_tools'))
    browse = importlib.import_module('browse_dataset')
    browse.main([str(folder / 'leaf.py'), '--num', '4', *words, str(tmp_path)])
    assert (tmp_path / 'train_0.png').stat().st_size > 1000


def test_a_report(folder, tmp_path):
    words = [folder / 'run/epoch_6.pth', '--out', tmp_path, '--no-tsne']
    tool(folder, 'analysis_tools/analyze_model.py', *words)
    assert 'DigitsLT, split test' in (tmp_path / 'index.html').read_text()
    assert not (tmp_path / 'vis_data').exists()  # the local backend has the pictures already
