"""The ViT-B/16 configs: a local checkpoint arrives in the backbone, a wrong path is one error."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401

ROOT = Path(__file__).parents[1]
LEAVES = ['dbm-bs_vit-base-p16_imagenet-lt', 'dbm-bs_vit-base-p16_cifar100-lt-if100']
# Two narrow layers instead of twelve: the names are the same, only fewer.
SMALL = dict(embed_dims=64, num_layers=2, num_heads=4, feedforward_channels=128)


def build(leaf=LEAVES[0], size=64, **options):
    cfg = Config.fromfile(ROOT / f'configs/dbm/{leaf}.py')
    cfg.merge_from_dict(
        {'model.backbone.arch': 'small', 'model.backbone.img_size': size, **options}
    )
    cfg.model.backbone.arch = SMALL
    cfg.model.head.in_channels = SMALL['embed_dims']
    return MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))


def save(model, path, prefix):
    """A checkpoint of a backbone under ``prefix``, beside what a CLIP file holds besides."""
    torch.manual_seed(1)
    for parameter in model.backbone.parameters():
        parameter.data = torch.randn_like(parameter)
    names = {f'{prefix}{name}': value for name, value in model.backbone.state_dict().items()}
    torch.save(dict(state_dict={**names, 'text.token_embedding': torch.zeros(3)}), path)
    return model.backbone.state_dict()


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv('MMLT_VIT', raising=False)


@pytest.mark.parametrize('leaf', LEAVES)
def test_clip_weights_arrive_in_every_parameter(leaf, tmp_path, monkeypatch):
    monkeypatch.setenv('MMLT_VIT', str(tmp_path / 'clip.pth'))
    saved = save(build(leaf), tmp_path / 'clip.pth', 'visual.')
    model = build(leaf)
    model.init_weights()
    loaded = model.backbone.state_dict()
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)
    samples = [DataSample().set_gt_label(k) for k in (0, 1)]
    loss = model(torch.rand(2, 3, 64, 64), samples, mode='loss')['loss_joint']
    loss.backward()
    assert torch.isfinite(loss)
    assert model.backbone.patch_embed.projection.weight.grad.abs().sum() > 0


def test_options_of_the_base_file_load_a_vit_of_mmpretrain(tmp_path, monkeypatch):
    text = (ROOT / 'configs/_base_/models/vit-base-p16_clip.py').read_text()
    options = dict(re.findall(r'(model\.[\w.]+)=(\S+)', text.split('model = dict(')[0]))
    assert len(options) == 4
    options['model.backbone.pre_norm'] = options['model.backbone.pre_norm'] == 'True'
    options['model.backbone.norm_cfg.eps'] = float(options['model.backbone.norm_cfg.eps'])
    monkeypatch.setenv('MMLT_VIT', str(tmp_path / 'vit.pth'))
    saved = save(build(**options), tmp_path / 'vit.pth', 'backbone.')
    assert not any(name.startswith('pre_norm') for name in saved)
    model = build(**options)
    model.init_weights()
    loaded = model.backbone.state_dict()
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)


def test_positions_of_another_image_size_are_resized(tmp_path, monkeypatch):
    monkeypatch.setenv('MMLT_VIT', str(tmp_path / 'clip.pth'))
    saved = save(build(size=64), tmp_path / 'clip.pth', 'visual.')
    model = build(size=96)
    model.init_weights()
    positions = model.backbone.pos_embed
    assert positions.shape == (1, 1 + 6 * 6, 64)
    assert torch.equal(positions[:, 0], saved['pos_embed'][:, 0])  # the class token has no place


def test_wrong_path_is_one_error_that_names_it():
    with pytest.raises(
        FileNotFoundError, match=r'checkpoints/clip-vit-base-p16\.pth does not exist'
    ):
        build().init_weights()


def test_file_without_a_backbone_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv('MMLT_VIT', str(tmp_path / 'vit.pth'))
    save(build(), tmp_path / 'vit.pth', 'backbone.')
    with pytest.raises(AssertionError, match='visual. is not in the pretrained model'):
        build().init_weights()
