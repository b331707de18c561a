"""The cosine classifier and the margin modules: thin over their functions."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmpretrain.registry import MODELS
from reference import bce3s, dbm

import mmlt.functional as func

N, K, D, S = 6, 5, 7, 20.0
COUNTS = [30, 500, 2, 80, 9]  # not sorted, as on ImageNet-LT
MARGINS = {
    'DBMMargin': dict(class_counts=COUNTS, max_margin=0.6),
    'LDAMMargin': dict(class_counts=COUNTS),
    'cosface': dict(type='ConstantMargin', margin=0.35),
    'arcface': dict(type='ConstantMargin', margin=0.5, kind='angle'),
    'SphereFaceMargin': dict(multiplier=3),
}
EVERY = pytest.mark.parametrize('name', list(MARGINS))


def build(kind, /, **options):
    return MODELS.build(ConfigDict(dict(type=kind) | options))


def build_margin(name, **options):
    return build(name, **(MARGINS[name] | options))


def positive(name, theta, y):
    if name == 'DBMMargin':
        return dbm.eq_9(theta, y, dbm.eq_6(COUNTS, y, 0.6, 1.0))
    if name == 'LDAMMargin':
        return dbm.ldam(theta, y, dbm.ldam_factor(COUNTS, 0.5), COUNTS)
    if name == 'SphereFaceMargin':
        return dbm.sphereface(theta, y, 3)
    return dbm.cosface(theta, y, 0.35) if name == 'cosface' else dbm.arcface(theta, y, 0.5)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    cosine = 2 * torch.rand(N, K, generator=generator, dtype=torch.float64) - 1
    return cosine, torch.randint(K, (N,), generator=generator)


# --- CosineLinear ----------------------------------------------------------------------------


def test_cosine_linear_is_the_loop():
    layer = build('CosineLinear', in_features=D, out_features=K, scale=7.0).double()
    torch.nn.init.normal_(layer.weight, std=3)
    features = torch.randn(N, D, dtype=torch.float64)
    rows = [[bce3s.cosine(x, w) for w in layer.weight.tolist()] for x in features.tolist()]
    torch.testing.assert_close(layer.cosine(features), torch.tensor(rows, dtype=torch.float64))
    torch.testing.assert_close(layer(features), 7.0 * layer.cosine(features))


def test_cosine_linear_defaults():
    torch.manual_seed(0)
    layer = build('CosineLinear', in_features=D, out_features=K, bias=False)
    assert layer.scale == 32.0
    assert list(layer.state_dict()) == ['weight']
    torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(K))
    assert (layer.weight < 0).any()
    assert repr(layer) == 'CosineLinear(7, 5, scale=32.0)'
    again = build('CosineLinear', in_features=D, out_features=K)
    again.load_state_dict(layer.state_dict())
    features = torch.randn(N, D)
    assert torch.equal(again(features), layer(features))


def test_lengths_do_not_matter():
    layer = build('CosineLinear', in_features=D, out_features=K)
    features = torch.randn(N, D)
    wanted = layer(features)
    torch.testing.assert_close(layer(1000 * features), wanted)
    with torch.no_grad():
        layer.weight.mul_(torch.linspace(0.01, 100, K).unsqueeze(1))
    torch.testing.assert_close(layer(features), wanted)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_cosines_are_float32_under_autocast(dtype):
    layer = build('CosineLinear', in_features=D, out_features=K)
    features = torch.randn(N, D).to(dtype).requires_grad_()
    with torch.autocast('cpu', dtype):
        logits = layer(features)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, layer(features.detach().float()))
    logits.sum().backward()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize('size', [0.0, 1e-30, 1e30])
@EVERY
def test_features_on_their_class_vector_have_a_finite_gradient(name, size):
    # Of no length, hardly any and a huge one; in float32, many self-cosines exceed 1.
    options = {'class_counts': [1] * 200} if 'class_counts' in MARGINS[name] else {}
    layer = build('CosineLinear', in_features=64, out_features=200)
    margin = build_margin(name, **options)
    target = torch.arange(200)
    for sign in (1, -1):
        features = (sign * size * layer.weight.detach()).requires_grad_()
        logits = margin(layer.cosine(features), target, 1e4)
        loss = F.cross_entropy(logits, target)
        loss.backward()
        assert loss.isfinite()
        assert features.grad.isfinite().all()
        assert layer.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(scale=0), 'scale must be positive, got 0'),
        (dict(scale=-1.0), 'scale must be positive, got -1.0'),
        (dict(scale=math.inf), 'scale must be positive, got inf'),
        (dict(bias=True), 'bias must be False'),
    ],
)
def test_bad_cosine_linear_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build('CosineLinear', in_features=D, out_features=K, **options)


# --- Margins ---------------------------------------------------------------------------------


@EVERY
def test_margin_module_is_the_loop(name, batch):
    cosine, labels = batch
    rows = []
    for row, y in zip(cosine.tolist(), labels.tolist()):
        theta = dbm.angles(row)
        rows.append(dbm.logits(theta, y, positive(name, theta, y), S))
    got = build_margin(name)(cosine, labels, S)
    wanted = torch.tensor(rows, dtype=torch.float64)
    torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-5)


def test_sphereface_falls_at_every_angle_and_its_slope_is_finite():
    margin = build('SphereFaceMargin', multiplier=4)
    cosine = torch.cos(torch.linspace(0, math.pi, 500, dtype=torch.float64))[:, None]
    cosine.requires_grad_()
    own = margin(cosine, torch.zeros(500, dtype=torch.int64), 1.0)
    assert (own.diff(dim=0) < 0).all()
    assert own[0] == 1
    assert own[-1].item() == pytest.approx(1 - 2 * 4)
    own.sum().backward()
    assert cosine.grad.abs().max() == pytest.approx(16)  # m^2, at both ends
    plain = build('SphereFaceMargin', multiplier=1)(cosine, torch.zeros(500).long(), 2.0)
    torch.testing.assert_close(plain, 2 * cosine)


@pytest.mark.parametrize(
    'options',
    [
        dict(tau=0.5),
        dict(reference='last'),
        dict(instance_margin='all', instance_weight=2.0),
        dict(instance_margin='none'),
    ],
)
def test_dbm_options_reach_the_functions(options, batch):
    cosine, labels = batch
    got = build('DBMMargin', class_counts=COUNTS, max_margin=0.2, **options)(cosine, labels, S)
    instance = {k: options.pop(k) for k in list(options) if k.startswith('instance')}
    margin = func.dbm_class_margin(COUNTS, 0.2, **options)
    assert torch.equal(got, func.dbm_logits(cosine, labels, margin, S, **instance))


def test_defaults():
    dbm_margin, ldam_margin = (build(kind, class_counts=COUNTS) for kind in list(MARGINS)[:2])
    torch.testing.assert_close(dbm_margin.class_margin, func.dbm_class_margin(COUNTS, 0.1))
    assert (dbm_margin.instance_margin, dbm_margin.instance_weight) == ('hard', 1.0)
    torch.testing.assert_close(ldam_margin.class_margin, func.ldam_class_margin(COUNTS, 0.5))
    assert build('ConstantMargin', margin=0.1).kind == 'cosine'
    named = build('DBMMargin', class_counts='imagenet-lt', reference='last')
    assert named.class_margin.max() == pytest.approx(0.42)


@EVERY
def test_margins_leave_no_trace_in_a_checkpoint_and_move_with_the_model(name):
    module = build_margin(name)
    assert module.state_dict() == {}
    assert list(module.parameters()) == []
    cosine = torch.zeros(2, K, device='meta')
    labels = torch.zeros(2, dtype=torch.int64, device='meta')
    assert module.to('meta')(cosine, labels, S).is_meta


@EVERY
def test_relabelling_the_classes_changes_nothing(name, batch):
    cosine, labels = batch
    order = torch.tensor([2, 0, 4, 3, 1])
    options = {}
    if 'class_counts' in MARGINS[name]:
        options['class_counts'] = [COUNTS[k] for k in order]
    before = build_margin(name)(cosine, labels, S)
    after = build_margin(name, **options)(cosine[:, order], order.argsort()[labels], S)
    torch.testing.assert_close(after, before[:, order], rtol=0, atol=0)


def test_equal_counts_are_the_constant_margins(batch):
    equal = dict(class_counts=[50] * K, max_margin=0.3)
    for one, two in [
        (build('DBMMargin', instance_margin='none', **equal), dict(kind='angle')),
        (build('LDAMMargin', **equal), dict(kind='cosine')),
    ]:
        two = build('ConstantMargin', margin=0.3, **two)
        torch.testing.assert_close(one(*batch, S), two(*batch, S), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@EVERY
def test_half_cosines_are_computed_in_float32(name, dtype, batch):
    cosine, labels = batch[0].to(dtype).requires_grad_(), batch[1]
    module = build_margin(name)
    with torch.autocast('cpu', dtype):
        logits = module(cosine, labels, S)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, module(cosine.detach().float(), labels, S))
    logits.sum().backward()
    assert cosine.grad.isfinite().all()


@pytest.mark.parametrize(
    ('kind', 'options', 'error', 'message'),
    [
        ('DBMMargin', dict(class_counts=[3, 0]), ValueError, 'class 1 has 0 training images'),
        ('DBMMargin', dict(class_counts=[3.5]), TypeError, 'class 0 has count 3.5'),
        ('DBMMargin', dict(max_margin=-1), ValueError, r'max_margin must be in .*, got -1'),
        ('DBMMargin', dict(reference='first'), ValueError, "reference .*got 'first'"),
        ('DBMMargin', dict(instance_margin='easy'), ValueError, "instance_margin .*got 'easy'"),
        ('DBMMargin', dict(instance_weight=-2.0), ValueError, 'instance_weight .*got -2.0'),
        ('LDAMMargin', dict(max_margin=3), ValueError, r'max_margin must be in .*, got 3'),
        ('LDAMMargin', dict(class_counts='no-lt'), ValueError, "unknown class_counts 'no-lt'"),
        ('SphereFaceMargin', dict(multiplier=1.5), ValueError, 'whole number .*got 1.5'),
        ('SphereFaceMargin', dict(multiplier=0), ValueError, 'whole number .*got 0'),
        ('ConstantMargin', dict(margin=-0.1), ValueError, 'margin must be in .*, got -0.1'),
        ('ConstantMargin', dict(margin=2.5), ValueError, r'margin .*\[0, 2\] for kind .cosine'),
        ('ConstantMargin', dict(margin=0.1, kind='sine'), ValueError, "kind .*got 'sine'"),
    ],
)
def test_bad_margin_options_are_refused(kind, options, error, message):
    if kind in ('DBMMargin', 'LDAMMargin'):
        options = dict(class_counts=COUNTS) | options
    with pytest.raises(error, match=message):
        build(kind, **options)


@EVERY
def test_bad_inputs_are_refused(name, batch):
    cosine, labels = batch
    module = build_margin(name)
    with pytest.raises(ValueError, match='target must have shape .* soft labels'):
        module(cosine, F.one_hot(labels, K).double(), S)
    with pytest.raises(ValueError, match='scale must be positive, got 0'):
        module(cosine, labels, 0)
    if 'class_counts' in MARGINS[name]:
        with pytest.raises(ValueError, match=r'class_margin must have shape \(6,\), got \(5,\)'):
            module(torch.zeros(N, 6), labels, S)
