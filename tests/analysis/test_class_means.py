"""Class means of frozen features, against a loop over single images."""

import runpy

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS

import mmlt
from mmlt.analysis.class_means import class_means
from mmlt.datasets import DigitsLT, LongTailedDataset
from mmlt.models.class_vectors import load_class_vectors

ROOT = f'{mmlt.__path__[0]}/..'
CONFIG = f'{ROOT}/configs/baselines/ce_resnet20_digits-lt.py'
COUNTS = [9, 7, 5, 4, 3, 3, 2, 2, 1, 1]


@pytest.fixture(autouse=True)
def own_logger():
    """A logger without the closed log file of another test's run."""
    MMLogger._instance_dict.clear()


def config(**options) -> Config:
    cfg = Config.fromfile(CONFIG)
    cfg.train_dataloader.dataset.class_counts = cfg.model.head.class_counts = COUNTS
    cfg.merge_from_dict({'test_dataloader.batch_size': 6, **options})
    return cfg


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A checkpoint of random weights whose BatchNorms have statistics of their own."""
    cfg = config()
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    for name, value in model.state_dict().items():
        if name.endswith('running_var'):
            value.copy_(torch.rand_like(value) * 0.1 + 0.05)
        elif name.endswith('running_mean'):
            value.copy_(torch.randn_like(value) * 0.1)
    path = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    model.eval()
    return str(path), model


@pytest.fixture(scope='module')
def wanted(weights):
    """Features of single images, added up class by class, as they are and of unit length."""
    _, model = weights
    images = LongTailedDataset(DigitsLT('train'), COUNTS)
    sums = {unit: torch.zeros(10, 64, dtype=torch.float64) for unit in (False, True)}
    with torch.no_grad():
        for i in range(len(images)):
            info = images.get_data_info(i)
            pixels = (torch.from_numpy(info['img']).float().permute(2, 0, 1) - 127.5) / 127.5
            feature = model.neck(model.backbone(pixels[None]))[-1][0].double()
            for unit in sums:
                sums[unit][info['gt_label']] += feature / (feature.norm() if unit else 1)
    means = {unit: total / torch.tensor(COUNTS)[:, None] for unit, total in sums.items()}
    assert not torch.allclose(means[False], means[True], rtol=0.1)
    return means


def assert_same(found, wanted):
    """To what float32 keeps of features of this size, which are of batches here, of one there."""
    assert (found - wanted).abs().max() < 2e-6 * wanted.abs().max()


@pytest.mark.parametrize('unit', [False, True], ids=['plain', 'unit'])
def test_the_means_are_those_of_single_images(weights, wanted, unit):
    means = class_means(config(), weights[0], unit_features=unit)
    assert_same(means.vectors, wanted[unit])
    assert (means.counts, means.names) == (COUNTS, tuple('0123456789'))


def test_without_a_checkpoint_the_backbone_begins_as_in_a_training(weights, wanted, capsys):
    start = dict(type='Pretrained', checkpoint=weights[0], prefix='backbone.')
    cfg = config(**{'model.backbone.init_cfg': start})
    # The file that is to be written: it is not there yet.
    cfg.model.head.init_cfg = dict(type='ClassVectors', file='means.pth')
    means = class_means(cfg)
    assert_same(means.vectors, wanted[False])
    assert 'Initialized by' not in capsys.readouterr().out  # no line for each parameter


def test_mixed_precision_gives_nearly_the_same(weights, wanted):
    means = class_means(config(), weights[0], amp=True)
    assert not torch.equal(means.vectors, wanted[False])
    cosines = torch.nn.functional.cosine_similarity(means.vectors, wanted[False])
    assert cosines.min() > 0.999


def test_what_gives_no_means_is_refused(weights):
    with pytest.raises(ValueError, match='begins from random weights .* give a CHECKPOINT'):
        class_means(config())
    start = dict(type='Pretrained', checkpoint=weights[0], prefix='backbone.')
    cfg = config(**{'model.backbone.init_cfg': start})
    few = dict(type='DigitsLT', split='train', indices=5, pipeline=cfg.test_pipeline)
    cfg.train_dataloader.dataset = few  # no 3 among these digits
    with pytest.raises(ValueError, match=r"5 of 10 classes have no .* image, first 3 \('3'\)"):
        class_means(cfg)
    cfg.model.head.num_classes, cfg.model.head.class_counts = 9, COUNTS[:9]
    with pytest.raises(ValueError, match='the head has 9 classes, the training set 10'):
        class_means(cfg)
    head = dict(type='ExpertsHead', num_classes=10, in_channels=64)
    cfg = config(**{'model.backbone.init_cfg': start, 'model.head': dict(_delete_=True, **head)})
    with pytest.raises(ValueError, match='one head .* got ExpertsHead'):
        class_means(cfg)


def test_the_tool_writes_them(weights, wanted, tmp_path, capsys):
    out = tmp_path / 'means.pth'
    options = [f'{key}={COUNTS}'.replace(' ', '') for key in (
        'train_dataloader.dataset.class_counts', 'model.head.class_counts')]  # fmt: skip
    tool = runpy.run_path(f'{ROOT}/tools/class_vectors.py')
    tool['main'](['means', CONFIG, weights[0], '--out', str(out), '--cfg-options', *options])
    assert '10 class vectors of width 64' in capsys.readouterr().out
    found = load_class_vectors(out)
    assert_same(found.vectors, torch.nn.functional.normalize(wanted[False], dim=1))
    told = dict(kind='class means', config='ce_resnet20_digits-lt.py', weights='epoch_1.pth',
                images=COUNTS, unit_features=False)  # fmt: skip
    assert told.items() <= found.meta.items()
