"""NormedLinear, CifarResNet, and whole classifiers: stock and own backbones with the head."""

import math

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from reference import bce3s

import mmlt  # noqa: F401

K, D = 4, 6
GAP = dict(type='GlobalAveragePooling')


def make_linear(**options):
    torch.manual_seed(0)
    return MODELS.build(dict(type='NormedLinear', in_features=D, out_features=K, **options))


def make_resnet(depth=20, **options):
    torch.manual_seed(0)
    return MODELS.build(dict(type='CifarResNet', depth=depth, **options))


@pytest.mark.parametrize('bias', [True, False])
def test_normed_linear_is_the_loop(bias):
    layer, features = make_linear(bias=bias), torch.randn(3, D)
    offsets = layer.bias.tolist() if bias else [0.0] * K
    wanted = [
        [bce3s.dot(x, w) / bce3s.length(w) + b for w, b in zip(layer.weight.tolist(), offsets)]
        for x in features.tolist()
    ]
    torch.testing.assert_close(layer(features), torch.tensor(wanted))


def test_normed_linear_ignores_the_length_of_a_row():
    layer, features = make_linear(), torch.randn(3, D)
    before = layer(features)
    layer.weight.data *= torch.tensor([[1e-3], [2.0], [1e3], [7.0]])
    torch.testing.assert_close(layer(features), before)


def test_normed_linear_gradcheck():
    layer = make_linear().double()
    features = torch.randn(3, D, dtype=torch.float64, requires_grad=True)

    def logits(features, weight, bias):
        return torch.func.functional_call(layer, dict(weight=weight, bias=bias), features)

    assert torch.autograd.gradcheck(logits, (features, layer.weight, layer.bias))


def test_normed_linear_gradient_is_tangent_to_the_row():
    layer = make_linear()
    layer(torch.randn(3, D)).square().sum().backward()
    torch.testing.assert_close((layer.weight * layer.weight.grad).sum(dim=1), torch.zeros(K))


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_normed_linear_is_finite_for_large_features_and_a_zero_row(dtype):
    layer = make_linear().to(dtype)
    layer.weight.data[1] = 0
    features = torch.tensor([[1e4] * D, [0.0] * D], dtype=dtype, requires_grad=True)
    logits = layer(features)
    logits.float().sum().backward()
    for value in (logits, features.grad, layer.weight.grad, layer.bias.grad):
        assert value.isfinite().all()


def test_normed_linear_initialisation():
    torch.manual_seed(0)
    layer = MODELS.build(dict(type='NormedLinear', in_features=256, out_features=400))
    assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(256), rel=0.02)
    assert layer.weight.mean().abs().item() < 1e-3
    assert 0.9 / 16 < layer.bias.abs().max().item() <= 1 / 16
    assert (layer.bias > 0).any()
    assert (layer.bias < 0).any()


@pytest.mark.parametrize(
    ('depth', 'width', 'millions'),
    [(20, 1, 0.27), (32, 1, 0.46), (44, 1, 0.66), (56, 1, 0.85), (32, 2, 1.85), (32, 4, 7.38)],
)
def test_parameter_count(depth, width, millions):
    blocks, a, b, c = (depth - 2) // 6, 16 * width, 32 * width, 64 * width
    weights = 9 * (3 * a + 2 * blocks * a * a)
    weights += 9 * (a * b + (2 * blocks - 1) * b * b) + 9 * (b * c + (2 * blocks - 1) * c * c)
    norms = 2 * (a + 2 * blocks * (a + b + c))
    count = sum(p.numel() for p in make_resnet(depth, width=width).parameters())
    assert count == weights + norms
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize('width', [1, 2])
@pytest.mark.parametrize('out_indices', [(2,), (0, 1, 2), (0, 2)])
def test_feature_maps(width, out_indices):
    network = make_resnet(width=width, in_channels=1, out_indices=out_indices)
    maps = network(torch.rand(2, 1, 32, 48))
    wanted = [(2, 16 * width * 2**i, 32 // 2**i, 48 // 2**i) for i in out_indices]
    assert [tuple(x.shape) for x in maps] == wanted


def test_the_shortcut_has_no_weights():
    block = make_resnet().stages[1][0]  # 16 to 32 channels, half the size
    assert {tuple(p.shape) for p in block.parameters()} == {(32, 16, 3, 3), (32, 32, 3, 3), (32,)}
    torch.nn.init.zeros_(block.bn2.weight)  # silences the convolutions
    x = torch.randn(2, 16, 6, 8)
    wanted = torch.zeros(2, 32, 3, 4)
    for channel in range(16):
        for i in range(3):
            for j in range(4):
                wanted[:, 8 + channel, i, j] = x[:, channel, 2 * i, 2 * j].clamp(min=0)
    assert torch.equal(block(x), wanted)


def test_kaiming_initialisation_and_a_config_of_ones_own():
    network = make_resnet()
    network.init_weights()
    weight = network.stages[2][0].conv1.weight  # 32 to 64 channels
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.02)
    network = make_resnet(init_cfg=dict(type='Constant', layer='Conv2d', val=0.5))
    network.init_weights()
    assert (network.conv1.weight == 0.5).all()


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(depth=18), r'depth must be one of \(20, 32, 44, 56\), got 18'),
        (dict(width=0), 'width must be a positive integer, got 0'),
        (dict(width=1.5), 'width must be a positive integer, got 1.5'),
        (dict(out_indices=2), r'out_indices must be stages of \(0, 1, 2\), got 2'),
        (dict(out_indices=(3,)), r'out_indices must be stages of \(0, 1, 2\), got \(3,\)'),
        (dict(out_indices=()), 'out_indices must be stages'),
    ],
)
def test_bad_backbone_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        make_resnet(**options)


# --- In mmpretrain's ImageClassifier ---------------------------------------------------------

CONVNEXT = dict(depths=[1, 1, 1, 1], channels=[8, 8, 16, 24])
VIT = dict(embed_dims=24, num_layers=1, num_heads=2, feedforward_channels=32)
BACKBONES = {
    'ResNet-18': (dict(type='ResNet', depth=18), GAP, 512),
    'CifarResNet': (dict(type='CifarResNet', depth=20), GAP, 64),
    'ConvNeXt': (dict(type='ConvNeXt', arch=CONVNEXT), None, 24),
    'ViT': (dict(type='VisionTransformer', arch=VIT, img_size=32, patch_size=8), None, 24),
}


def make_classifier(name, preprocessor, **head):
    torch.manual_seed(0)
    backbone, neck, width = BACKBONES[name]
    head = dict(type='BCE3SHead', num_classes=K, in_channels=width) | head
    config = dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head)
    preprocessor = dict(num_classes=K, mean=[127.5] * 3, std=[60.0] * 3) | preprocessor
    return MODELS.build(ConfigDict(**config, data_preprocessor=preprocessor))


def make_batch(size=4):
    np.random.seed(0)  # the views' lambda
    samples = [DataSample().set_gt_label(i % K) for i in range(size)]
    return dict(
        inputs=list(torch.randint(256, (size, 3, 32, 32), dtype=torch.uint8)), data_samples=samples
    )


@pytest.mark.parametrize('views', [('plain',), ('plain', 'mixup', 'cutmix')])
@pytest.mark.parametrize('name', list(BACKBONES))
def test_the_head_trains_and_predicts_in_an_image_classifier(name, views):
    model = make_classifier(name, dict(type='MultiViewDataPreprocessor', views=views))
    model.init_weights()
    for _ in range(2):  # the bank is empty in the first step
        batch = model.data_preprocessor(make_batch(), training=True)
        losses = model(**batch, mode='loss')
    total, log = model.parse_losses(losses)
    total.backward()
    assert set(log) == {'loss', 'loss_joint', 'loss_contrast', 'loss_uniform'}
    assert losses['loss_contrast'] > 0
    gradients = [p.grad for p in model.head.parameters() if p.requires_grad]
    gradients += [p.grad for p in model.backbone.parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in gradients)
    assert next(model.backbone.parameters()).grad.abs().sum() > 0
    model.eval()
    batch = model.data_preprocessor(make_batch(), training=False)
    logits = model(batch['inputs'])
    predictions = model(**batch, mode='predict')
    assert [s.pred_label.item() for s in predictions] == logits.argmax(dim=1).tolist()


@pytest.mark.parametrize('views', [('plain',), ('plain', 'mixup', 'cutmix')])
def test_a_criterion_of_mmpretrain_fits_the_joint_slot(views):
    losses = []
    for joint in (dict(type='CrossEntropyLoss', loss_weight=2.0), 'softmax'):
        model = make_classifier(
            'CifarResNet',
            dict(type='MultiViewDataPreprocessor', views=views),
            **dict(type='TripartiteHead', joint=joint),
        ).eval()
        batch = model.data_preprocessor(make_batch(), training=True)
        losses.append(model(**batch, mode='loss')['loss_joint'])
    torch.testing.assert_close(losses[0], 2 * losses[1])


@pytest.mark.parametrize(
    ('slot', 'match'), [(dict(joint=None), 'negative_ratio'), (dict(contrast=None), 'contrast')]
)
def test_a_criterion_that_takes_no_negative_mask_is_refused_by_name(slot, match):
    options = dict.fromkeys(slot, dict(type='CrossEntropyLoss'))
    with pytest.raises((TypeError, ValueError), match=match):
        make_classifier('CifarResNet', {}, negative_ratio=0.5, **options)


def test_a_classifier_of_torch_fits_the_head():
    linear = torch.nn.Linear(64, K)
    model = make_classifier('CifarResNet', {}, classifier=dict(type=torch.nn.Linear, bias=False))
    assert type(model.head.classifier) is type(linear)
    assert model.head.classifier.weight.shape == linear.weight.shape
    assert model.head.classifier.bias is None


def test_a_missing_pooling_neck_is_named():
    model = make_classifier('CifarResNet', {})
    model.neck = None
    with pytest.raises(ValueError, match=r'\(4, 64, 8, 8\); is a GlobalAveragePooling neck'):
        model(**model.data_preprocessor(make_batch(), training=True), mode='loss')
