"""Tuners on vision transformers: where they act, what they learn, what they refuse."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import LoRAModel
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401
from mmlt.models.tuners import AdaptFormer, LoRA, VisualPrompts, adapter_width

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=32)
SMALL = dict(arch=ARCH, img_size=16, patch_size=8)
VIT = dict(type='VisionTransformer', **SMALL)
BACKBONES = dict(
    vit=VIT,
    clip=dict(VIT, pre_norm=True, layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU'))),
    deit=dict(SMALL, type='DistilledVisionTransformer', out_type='avg_featmap'),
    deit3=dict(SMALL, type='DeiT3'),
    beit=dict(SMALL, type='BEiTViT', out_type='avg_featmap'),
    eva02=dict(SMALL, type='ViTEVA02'),
    t2t=dict(type='T2T_ViT', img_size=16, embed_dims=24, num_layers=3,
             layer_cfgs=dict(num_heads=3, feedforward_channels=32)),
)  # fmt: skip
TUNERS = ('AdaptFormer', 'LoRA', 'BitFit', 'SSF', 'VisualPrompts', 'LinearProbe')
# What cannot work, and the word by which it is refused when the model is built or first run.
REFUSED = {
    ('deit3', 'AdaptFormer'): 'norm before the feed-forward',  # mmpretrain calls ln1 twice
    ('deit3', 'SSF'): 'layers.0.ln2',
    ('beit', 'LoRA'): 'attn.qkv',  # BEiT's attention takes qkv.weight and never calls qkv
    ('beit', 'SSF'): 'attn.qkv',
    ('beit', 'VisualPrompts'): 'positions',
    ('eva02', 'VisualPrompts'): 'positions',
    ('t2t', 'VisualPrompts'): 'positions',
}
IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
SAMPLES = [DataSample().set_gt_label(k) for k in (0, 2)]
HEAD = dict(
    type='DBMHead', num_classes=3, in_channels=24, class_counts=[9, 5, 2],
    joint=dict(type='BalancedSoftmaxLoss'),
)  # fmt: skip


def build(tuner, backbone='vit', seed=0, **options):
    torch.manual_seed(seed)
    spec = BACKBONES[backbone] if isinstance(backbone, str) else backbone
    plain = MODELS.build(dict(type='ImageClassifier', backbone=spec, head=HEAD))
    tuner = dict(type=tuner) if isinstance(tuner, str) else tuner
    model = MODELS.build(
        dict(type='TunedClassifier', tuner=tuner, backbone=spec, head=HEAD, **options)
    )
    # Numbers of their own in every weight: a fresh norm is 1 and 0, where much goes unseen.
    for parameter in plain.parameters():
        parameter.data.normal_(std=0.3)
    load(model, plain)
    return plain.eval(), model.eval()


def load(model, plain):
    wanted = {f'tuner.{name}' for name in model.tuner.state_dict()}
    found = model.load_state_dict(plain.state_dict(), strict=False)
    assert set(found.missing_keys) == wanted
    assert not found.unexpected_keys


def logits(model, images=IMAGES):
    return model.head(model.extract_feat(images))


def stir(model):
    """Make the tuner do something."""
    torch.manual_seed(3)
    for parameter in (p for p in model.parameters() if p.requires_grad):
        parameter.data += 0.2 * torch.randn_like(parameter)


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('tuner', TUNERS)
def test_every_tuner_begins_as_the_frozen_model_or_refuses(tuner, backbone):
    if (backbone, tuner) in REFUSED:
        with pytest.raises((TypeError, ValueError), match=REFUSED[backbone, tuner]):
            logits(build(tuner, backbone)[1])
        return
    # Of one channel, a ReLU may be dead for all images.
    spec = dict(type=tuner, **(dict(width=8) if tuner == 'AdaptFormer' else {}))
    plain, model = build(spec, backbone)
    equal = torch.equal(logits(plain), logits(model))
    assert equal == (tuner != 'VisualPrompts')
    model.train()
    frozen = {name: value.clone() for name, value in model.frozen().items()}
    assert not any(module.training for module in model.backbone.modules())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    for _ in range(2):  # Up is 0 at first: what is before it moves in the second step
        optimizer.zero_grad()
        model(IMAGES, SAMPLES, mode='loss')['loss_joint'].backward()
        optimizer.step()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    # mmpretrain's DeiT3 never calls its ln2.
    assert without == [f'backbone.layers.{i}.ln2.bias' for i in range(3)] * (
        (backbone, tuner) == ('deit3', 'BitFit')
    )
    moved = [n for n, p in model.tuner.named_parameters() if p.grad is not None and p.grad.any()]
    assert len(moved) == len(list(model.tuner.parameters()))
    assert all(torch.equal(value, frozen[name]) for name, value in model.frozen().items())
    assert not torch.equal(logits(plain), logits(model.eval()))


def test_adaptformer_against_the_equation():
    _, model = build(dict(type='AdaptFormer', width=2))
    stir(model)
    vit, adapters = model.backbone, model.tuner.adapters
    x, _ = vit.patch_embed(IMAGES)
    x = torch.cat([vit.cls_token.expand(2, -1, -1), x], 1) + vit.pos_embed
    for block, adapter in zip(vit.layers, adapters):
        h = x + block.attn(block.ln1(x))
        ffn = block.ffn.layers[1](F.gelu(block.ffn.layers[0][0](block.ln2(h))))
        a = F.layer_norm(h, (24,), adapter.norm.weight, adapter.norm.bias, eps=1e-5)
        a = F.relu(a @ adapter.down.weight.T + adapter.down.bias)
        x = h + ffn + adapter.scale * (a @ adapter.up.weight.T + adapter.up.bias)
    wanted = model.head((vit.ln1(x)[:, 0],))
    torch.testing.assert_close(logits(model), wanted)


def test_adaptformer_starts_as_lift_does():
    tuner = build(dict(type='AdaptFormer', width=16))[1].tuner
    for adapter in tuner.adapters:
        assert adapter.scale == 1
        assert not adapter.up.weight.any()
        assert not adapter.up.bias.any()
        assert not adapter.down.bias.any()
        # Kaiming uniform with a = sqrt(5): U(-1/sqrt(D), 1/sqrt(D)).
        assert 0.9 * 24**-0.5 < adapter.down.weight.abs().max() <= 24**-0.5


def test_width_by_the_rule():
    assert [adapter_width(k, 12) for k in (10, 100, 365, 1000, 8142)] == [1, 4, 8, 32, 256]
    assert build('AdaptFormer')[1].tuner.width == 1  # 3 classes, 3 blocks


def test_adaptformer_is_below_a_hundredth_of_vit_base():
    with torch.device('meta'):
        vit = MODELS.build(dict(type='VisionTransformer', arch='b', pre_norm=True))
        tuner = AdaptFormer(num_classes=100)
        tuner.attach(vit)
    own = sum(p.numel() for p in tuner.parameters())
    # Down and Up with biases, LayerNorm, scale; 12 blocks.
    assert own == 12 * (768 * 4 + 4 + 4 * 768 + 768 + 2 * 768 + 1) == 101_436
    assert own < 0.01 * sum(p.numel() for p in vit.parameters())


def test_lora_is_mmpretrains():
    targets = ('attn.qkv', 'ffn.layers.1')
    _, model = build(dict(type='LoRA', rank=3, alpha=6, targets=targets))
    stir(model)
    theirs = LoRAModel(
        module=copy.deepcopy(VIT), rank=3, alpha=6, targets=[dict(type=t) for t in targets]
    ).eval()
    state = {}
    for name, value in model.backbone.state_dict().items():
        linear = any(name.endswith(f'{t}.{kind}') for t in targets for kind in ('weight', 'bias'))
        head, _, kind = name.rpartition('.')
        state[f'{head}.original_layer.{kind}' if linear else name] = value
    for name, pair in model.tuner.pairs.items():
        for key, value in pair.state_dict().items():
            state[f'{name.replace("-", ".")}.{key}'] = value
    theirs.module.load_state_dict(state)
    torch.testing.assert_close(logits(model), model.head(theirs(IMAGES)))


def test_ssf_against_the_equation_on_one_block():
    _, model = build('SSF')
    stir(model)
    block, layers = model.backbone.layers[1], model.tuner.layers
    x = torch.randn(2, 5, 24)

    def ssf(name, value):
        return value * layers[f'layers-1-{name}'].scale + layers[f'layers-1-{name}'].shift

    def linear(name, value):
        module = block.get_submodule(name.replace('-', '.'))
        return ssf(name, F.linear(value, module.weight, module.bias))

    def norm(name, value):
        module = block.get_submodule(name)
        return ssf(name, F.layer_norm(value, (24,), module.weight, module.bias, module.eps))

    q, k, v = linear('attn-qkv', norm('ln1', x)).reshape(2, 5, 3, 3, 8).permute(2, 0, 3, 1, 4)
    attended = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1) @ v
    h = x + linear('attn-proj', attended.transpose(1, 2).reshape(2, 5, 24))
    hidden = F.gelu(linear('ffn-layers-0-0', norm('ln2', h)))
    torch.testing.assert_close(block(x), h + linear('ffn-layers-1', hidden))


@pytest.mark.parametrize('deep', [False, True])
def test_prompts_are_other_tokens_of_the_image(deep):
    """Against a loop over the blocks; the class token's place, and the patches', are kept."""
    _, model = build(dict(type='VisualPrompts', number=2, deep=deep))
    stir(model)
    vit, prompts = model.backbone, model.tuner.prompts
    assert prompts.shape == (3 if deep else 1, 2, 24)
    x, size = vit.patch_embed(IMAGES)
    x = torch.cat([vit.cls_token.expand(2, -1, -1), x], 1) + vit.pos_embed
    prompt = prompts[0].expand(2, -1, -1)
    tail = copy.deepcopy(vit.layers)
    for block in tail:
        block._forward_hooks.clear(), block._forward_pre_hooks.clear()
    cls, patches = x[:, :1], x[:, 1:]
    for index, block in enumerate(tail):
        if deep:
            prompt = prompts[index].expand(2, -1, -1)
        out = block(torch.cat([cls, prompt, patches], 1))
        cls, prompt, patches = out[:, :1], out[:, 1:3], out[:, 3:]
    torch.testing.assert_close(vit(IMAGES)[-1], vit.ln1(cls)[:, 0])
    vit.out_type = 'featmap'
    wanted = vit.ln1(patches).transpose(1, 2).reshape(2, 24, 2, 2)
    torch.testing.assert_close(vit(IMAGES)[-1], wanted)


def test_bitfit_trains_biases_and_nothing_else():
    _, model = build('BitFit')
    trained = {n for n, p in model.backbone.named_parameters() if p.requires_grad}
    assert trained == {n for n, _ in model.backbone.named_parameters() if n.endswith('.bias')}
    assert 'layers.0.attn.qkv.bias' in trained
    assert len(trained) == 1 + 3 * 6 + 1


@pytest.mark.parametrize('tuner', ['LoRA', 'BitFit', 'SSF', 'LinearProbe'])
def test_folded_weights_are_those_of_a_plain_classifier(tuner):
    plain, model = build(tuner, saved='trained')
    stir(model)
    before = logits(model)
    plain.load_state_dict(model.fold_tuner())
    torch.testing.assert_close(logits(plain), before)
    torch.testing.assert_close(logits(model), before)  # and nothing acts twice


@pytest.mark.parametrize(('tuner', 'backbone'), [('AdaptFormer', 'vit'), ('SSF', 'clip')])
def test_what_cannot_be_folded_says_so_and_stays(tuner, backbone):
    _, model = build(tuner, backbone)
    before = logits(model)
    with pytest.raises(ValueError, match='cannot be folded'):
        model.fold_tuner()
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize(
    ('make', 'match'),
    [
        (lambda: AdaptFormer(width=0), 'width must be >= 1, got 0'),
        (lambda: AdaptFormer(), 'without num_classes'),
        (lambda: LoRA(rank=0), 'rank must be >= 1'),
        (lambda: LoRA(alpha=0), 'alpha must be > 0'),
        (lambda: LoRA(targets='qkv'), 'targets must be a list'),
        (lambda: VisualPrompts(number=0), 'number must be >= 1'),
        (lambda: build(dict(type='LoRA', targets=['qv'])), "ends in 'qv', it has .*'attn.qkv'"),
        (lambda: build('VisualPrompts', dict(VIT, out_indices=[0, 2])), 'out_indices=-1'),
        (
            lambda: build('LoRA', dict(type='ResNet', depth=18, norm_cfg=dict(type='BN'))),
            'needs a vision transformer of mmpretrain .*, got ResNet',
        ),
        (lambda: build(dict(type='GlobalAveragePooling')), 'tuner must be a Tuner'),
    ],
    ids=['width', 'rule', 'rank', 'alpha', 'text', 'prompts', 'target', 'outputs', 'cnn', 'kind'],
)
def test_what_cannot_work_is_refused(make, match):
    with pytest.raises((TypeError, ValueError, KeyError), match=match):
        make()
