"""Experts side by side: what they share, what they do not, and that they are the stock backbone."""

import pytest
import torch
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401

CIFAR = dict(type='CifarResNet', depth=20)
PHOTO = dict(type='ResNet', depth=18, base_channels=8)
NETWORKS = {
    'cifar': CIFAR,
    'resnet': PHOTO,
    'resnet_cifar': dict(type='ResNet_CIFAR', depth=18, base_channels=8),
    'deep stem': dict(type='ResNetV1d', depth=50, base_channels=8, stem_channels=8),
    'resnext': dict(type='ResNeXt', depth=50, groups=2, width_per_group=4, base_channels=8),
    'regnet': dict(type='RegNet', arch=dict(w0=8, wa=8.0, wm=2.0, group_w=4, depth=6, bot_mul=1.0)),
}


def build(backbone=CIFAR, **options):
    torch.manual_seed(0)
    model = MODELS.build(dict(type='MultiExpertBackbone', backbone=backbone, **options))
    model.init_weights()
    return model


def image(size=32):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_whole_copies_start_from_different_numbers_and_share_nothing():
    model = build()
    pairs = zip(*(expert.named_parameters() for expert in model.experts))
    for (name, a), (_, b), (_, c) in pairs:
        assert a is not b
        if name.startswith('conv') or '.conv' in name:
            assert not torch.equal(a, b)
            assert not torch.equal(b, c)
    features = model.eval()(image())
    assert len(features) == 3
    for expert, feature in zip(model.experts, features):
        assert torch.equal(feature, expert(image())[-1])


def test_the_stock_neck_pools_each_expert():
    classifier = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='MultiExpertBackbone', backbone=PHOTO, num_experts=2),
            neck=dict(type='GlobalAveragePooling'),
        )
    )
    assert [tuple(x.shape) for x in classifier.extract_feat(image())] == [(2, 64)] * 2


@pytest.mark.parametrize('shared_stages', [1, 2])
@pytest.mark.parametrize('name', NETWORKS)
def test_with_the_weights_of_one_network_every_expert_is_that_network(name, shared_stages):
    torch.manual_seed(3)
    whole = MODELS.build(NETWORKS[name])
    whole(image())  # BatchNorm statistics of its own
    model = build(NETWORKS[name], num_experts=2, shared_stages=shared_stages)
    state = whole.state_dict()
    for part in (model.shared, *model.experts):
        missing, _ = part.load_state_dict(state, strict=False)
        assert missing == []
    for part in model.experts:
        # Each weight is in the shared part or in the experts, in none twice.
        assert part.state_dict().keys() ^ model.shared.state_dict().keys() == state.keys()
    whole.eval()  # mmpretrain's ResNet returns None
    wanted = whole(image())[-1]
    for feature in model.eval()(image()):
        torch.testing.assert_close(feature, wanted, rtol=0, atol=0)


def test_shared_stages_learn_from_all_experts_and_the_rest_from_its_own():
    model = build(shared_stages=1)
    model(image())[1].square().sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.startswith(('shared.', 'experts.1.')), name


def test_frozen_stages_and_still_statistics_reach_the_parts_that_have_them():
    frozen = dict(PHOTO, frozen_stages=2, norm_eval=True)
    model = build(frozen, num_experts=2, shared_stages=1).train()
    for name, parameter in model.named_parameters():
        own = name.split('.')[1] if name.startswith('shared') else name.split('.')[2]
        assert parameter.requires_grad == (own in ('layer3', 'layer4')), name
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)


def test_a_pretrained_start_reaches_every_part(tmp_path):
    whole = MODELS.build(CIFAR)
    torch.save(whole.state_dict(), tmp_path / 'start.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'start.pth'))
    model = build(dict(CIFAR, init_cfg=init), num_experts=2, shared_stages=2)
    state = whole.state_dict()
    for part in (model.shared, *model.experts):
        for name, parameter in part.named_parameters():
            assert torch.equal(parameter, state[name]), name


@pytest.mark.parametrize(
    ('options', 'error', 'match'),
    [
        (dict(num_experts=0), ValueError, 'num_experts must be an integer >= 1, got 0'),
        (dict(num_experts=2.0), ValueError, 'num_experts must be an integer >= 1, got 2.0'),
        (dict(shared_stages=-1), ValueError, 'shared_stages must be an integer >= 0, got -1'),
        (dict(shared_stages=3), ValueError, 'below the 3 stages of CifarResNet, got 3'),
        (
            dict(backbone=dict(type='ConvNeXt', arch='atto'), shared_stages=1),
            TypeError,
            'shared_stages needs a CifarResNet or .* got ConvNeXt: shared_stages=0',
        ),
        (dict(backbone=torch.nn.Identity()), TypeError, 'backbone must be a config, got a module'),
    ],
)
def test_bad_arguments_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        build(**options)
