"""mmpretrain's inferencer sees what the test of a config sees."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.registry import init_default_scope
from mmpretrain import FeatureExtractor, ImageClassificationInferencer, get_model
from mmpretrain.registry import TRANSFORMS

import mmlt  # noqa: F401

ROOT = Path(__file__).parents[1]
RGB = np.random.RandomState(0).randint(0, 256, (32, 32, 3), np.uint8)


@pytest.fixture
def photo(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, RGB[..., ::-1])
    return path


def scores_of(model, cfg, item):
    """Scores and features of an item as its dataset gives it, through the test's pipeline."""
    init_default_scope('mmpretrain')
    pipeline = Compose([TRANSFORMS.build(step) for step in cfg.test_dataloader.dataset.pipeline])
    batch = default_collate([pipeline(dict(item, img_shape=(32, 32), ori_shape=(32, 32)))])
    with torch.no_grad():
        return model.test_step(batch)[0].pred_score


@pytest.mark.parametrize('cifar', ['pickle', 'folder'])
def test_images_of_a_cifar_config_keep_their_colours(photo, monkeypatch, cifar):
    monkeypatch.setenv('MMLT_CIFAR', cifar)
    cfg = Config.fromfile(ROOT / 'configs/baselines/ce_resnet32_cifar10-lt-if100.py')
    torch.manual_seed(0)
    model = get_model(cfg)
    # Pickles have RGB arrays in memory; folders are read from files.
    item = dict(img=RGB) if cifar == 'pickle' else dict(img_path=photo)
    wanted = scores_of(model, cfg, item)
    inferencer = ImageClassificationInferencer(model)
    for given in (photo, RGB[..., ::-1]):  # arrays are BGR, as mmcv reads them
        found = inferencer(given)[0]['pred_scores']
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    features = FeatureExtractor(model)(photo)[0][0]
    swapped = FeatureExtractor(model)(RGB)[0][0]
    assert not torch.allclose(features, swapped)


def test_a_stock_cifar_config_too(photo):
    cfg = Config(
        dict(
            model=dict(
                type='ImageClassifier', backbone=dict(type='ResNet_CIFAR', depth=18),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=10, in_channels=512),
            ),
            data_preprocessor=dict(mean=[125.3, 123.0, 113.9], std=[51.6, 50.8, 51.3]),
            test_dataloader=dict(dataset=dict(type='CIFAR10', pipeline=[dict(type='PackInputs')])),
        )
    )  # fmt: skip
    model = get_model(cfg)
    found = ImageClassificationInferencer(model)(photo)[0]['pred_scores']
    np.testing.assert_allclose(found, scores_of(model, cfg, dict(img=RGB)), rtol=1e-5)


def test_the_shifted_test_set_of_the_readme_is_unwrapped(tmp_path):
    snippets = re.findall(
        r'```python\n(.*?)```', (ROOT / 'configs/README.md').read_text(), re.DOTALL
    )
    text = next(text for text in snippets if 'shifted' in text)
    (tmp_path / 'shifted.py').write_text(text.replace("_base_ = '", f"_base_ = '{ROOT}/"))
    model = get_model(Config.fromfile(tmp_path / 'shifted.py'))
    cv2.imwrite(str(tmp_path / 'a.png'), RGB)
    found = ImageClassificationInferencer(model)(str(tmp_path / 'a.png'))[0]
    assert found['pred_scores'].sum() == pytest.approx(1, abs=1e-5)
