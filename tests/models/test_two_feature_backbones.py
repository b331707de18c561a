"""mmpretrain's backbones that give two features an image: told, with what serves instead."""

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401

VIT = dict(
    arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16),
    img_size=32,
    patch_size=8,
)
DEIT = dict(type='DistilledVisionTransformer', **VIT)
CONFORMER = dict(
    type='Conformer',
    arch=dict(embed_dims=24, depths=3, num_heads=2, channel_ratio=1),
    base_channels=16,
)


def losses(backbone, head):
    head = dict(num_classes=3, in_channels=16, class_counts=[5, 3, 1]) | head
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone, head=head))
    samples = [DataSample().set_gt_label(k) for k in (0, 2)]
    return model(torch.rand(2, 3, 32, 32), samples, mode='loss')


@pytest.mark.parametrize(
    'head',
    [dict(type='BCE3SHead'), dict(type='DBMHead'), dict(type='ExpertsHead', num_experts=1)],
    ids=lambda head: head['type'],
)
@pytest.mark.parametrize(
    ('backbone', 'shapes'),
    [(DEIT, r'\(2, 16\) and \(2, 16\)'), (CONFORMER, r'\(2, 64\) and \(2, 24\)')],
    ids=['DeiT', 'Conformer'],
)
def test_two_features_an_image_are_refused_in_one_line(backbone, shapes, head):
    wanted = f"one feature an image, but the backbone gives 2 .*{shapes}.*'avg_featmap'.*Conformer"
    with pytest.raises(TypeError, match=wanted) as error:
        losses(backbone, head)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'backbone',
    [dict(DEIT, out_type='avg_featmap'), dict(type='VisionTransformer', **VIT)],
    ids=lambda backbone: backbone['type'],
)
def test_what_serves_instead_trains(backbone):
    found = losses(backbone, dict(type='DBMHead'))
    sum(found.values()).backward()
    assert found['loss_joint'].isfinite()


def test_what_is_no_feature_at_all_is_told():
    head = MODELS.build(dict(type='BCE3SHead', num_classes=3, in_channels=4))
    with pytest.raises(TypeError, match='BCE3SHead needs a tensor of features, got dict'):
        head(({'x': torch.rand(2, 4)},))
