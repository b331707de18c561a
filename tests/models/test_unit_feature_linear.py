"""BCE3S, table 6: what is normalised; and how linear layers may start."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from reference import bce3s

import mmlt  # noqa: F401

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize('unit_rows', [False, True])
def test_it_is_the_loop(unit_rows):
    torch.manual_seed(0)
    spec = dict(type='UnitFeatureLinear', in_features=6, out_features=4, unit_rows=unit_rows)
    layer = MODELS.build(spec).double()
    torch.nn.init.normal_(layer.weight, std=3.0)
    features = 5 * torch.randn(3, 6, dtype=torch.float64)
    wanted = []
    for x in features.tolist():
        row = []
        for w, b in zip(layer.weight.tolist(), layer.bias.tolist()):
            length = 1.0 if unit_rows else sum(v * v for v in w) ** 0.5
            row.append(length * bce3s.cosine(x, w) + b)
        wanted.append(row)
    torch.testing.assert_close(layer(features), torch.tensor(wanted, dtype=torch.float64))
    # The length of a feature is not seen, that of a row only where rows are not normalised.
    torch.testing.assert_close(layer(features), layer(7 * features))
    with torch.no_grad():
        longer = copy.deepcopy(layer)
        longer.weight.mul_(2)
    assert torch.allclose(longer(features), layer(features)) == unit_rows
    assert torch.autograd.gradcheck(layer, features.requires_grad_())


def test_the_head_takes_it_and_only_that():
    head = dict(type='BCE3SHead', num_classes=4, in_channels=6, contrast=None, uniform=None)
    head['classifier'] = dict(type='UnitFeatureLinear', unit_rows=True)
    assert MODELS.build(head).classifier.unit_rows
    with pytest.raises(TypeError):
        MODELS.build(head | dict(classifier=dict(type='UnitFeatureLinear', scale=2.0)))


@pytest.mark.parametrize('config', ['baselines/ce', 'bcl/'])
def test_linear_layers_start_as_in_the_released_code_if_asked(config):
    """Kaiming normal: a standard deviation of sqrt(2 / D), 0.177 for D = 64."""
    name = f'{config}_resnet32_cifar100-lt-if100.py'.replace('/_', '/')
    cfg = Config.fromfile(CONFIGS / name)
    cfg.model.head.init_cfg = dict(type='Kaiming', layer='Linear', mode='fan_in')
    head = MODELS.build(cfg.model.head)
    layers = [m for m in head.modules() if isinstance(m, torch.nn.Linear)]
    assert len(layers) == (1 if 'ce' in config else 5)
    usual = layers[0].weight.std().item()
    assert usual == pytest.approx(0.072, abs=0.004)
    torch.manual_seed(0)
    head.init_weights()
    for layer in layers:
        wanted = (2 / layer.in_features) ** 0.5
        assert layer.weight.std().item() == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize('name', ['resnet34_cifar', 'resnet50', 'resnet152'])
def test_the_last_norm_of_every_block_starts_at_one(name):
    cfg = Config.fromfile(CONFIGS / f'_base_/models/{name}.py')
    backbone = cfg.model.backbone
    blocks = {34: 16, 50: 16, 152: 50}[backbone.depth]

    def last_norms(**options) -> list[float]:
        model = MODELS.build(dict(backbone, **options))
        model.init_weights()
        last = 'bn3' if backbone.depth > 34 else 'bn2'
        return [
            p.mean().item() for n, p in model.named_parameters() if n.endswith(f'{last}.weight')
        ]

    if backbone.depth < 152:  # 60 million numbers; the flag is the same
        assert last_norms(zero_init_residual=True) == [0.0] * blocks
    assert last_norms() == [1.0] * blocks


def test_cosines_with_a_bias_are_the_loop_and_start_as_released():
    torch.manual_seed(0)
    spec = dict(type='CosineBiasLinear', in_features=6, out_features=4, scale=16.0)
    layer = MODELS.build(spec).double()
    assert layer.bias.tolist() == [0.0] * 4
    assert 0 < layer.weight.abs().max() <= 6**-0.5
    torch.nn.init.normal_(layer.bias)
    features = 5 * torch.randn(3, 6, dtype=torch.float64)
    wanted = [
        [16 * bce3s.cosine(x, w) + b for w, b in zip(layer.weight.tolist(), layer.bias.tolist())]
        for x in features.tolist()
    ]
    torch.testing.assert_close(layer(features), torch.tensor(wanted).double())
    with torch.autocast('cpu', torch.bfloat16):
        assert layer.float()(features.float()).dtype == torch.float32
    with pytest.raises(ValueError, match='scale must be positive, got 0'):
        MODELS.build(dict(spec, scale=0))
    # A margin would leave the bias out.
    head = dict(type='DBMHead', num_classes=4, in_channels=6, class_counts=[4, 3, 2, 1])
    with pytest.raises(ValueError, match='needs a classifier with cosines.*CosineBiasLinear'):
        MODELS.build(dict(head, classifier=dict(type='CosineBiasLinear')))
