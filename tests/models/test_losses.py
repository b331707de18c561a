"""The registered criteria: thin modules, so equal to their functions; class-balanced weights."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmpretrain.registry import MODELS
from reference import bce3s

import mmlt.functional as func

N, K, D = 6, 4, 5
COUNTS = [30, 500, 2, 80]  # not sorted, as on ImageNet-LT
PAIRS = {'SigmoidPairLoss': func.sigmoid_pair_loss, 'SoftmaxPairLoss': func.softmax_pair_loss}
UNIFORM = {
    'SigmoidUniformLoss': func.sigmoid_uniform_loss,
    'SoftmaxUniformLoss': func.softmax_uniform_loss,
}
ROWS = {'SigmoidPairLoss': bce3s.eq_3_soft, 'SoftmaxPairLoss': bce3s.eq_22_soft}
EQUATIONS = {'SigmoidPairLoss': bce3s.eq_35, 'SoftmaxPairLoss': bce3s.eq_26}
EVERY_PAIR = [*PAIRS, 'ClassBalancedLoss']
PAIR = pytest.mark.parametrize('kind', list(PAIRS))


def build(kind, **options):
    return MODELS.build(ConfigDict(type=kind, **options))


def balanced(kind='SigmoidPairLoss', counts=COUNTS, criterion=None, **options):
    criterion = dict(type=kind) | (criterion or {})
    return build('ClassBalancedLoss', class_counts=counts, criterion=criterion, **options).double()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    similarity = 3 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    labels = torch.randint(K, (N,), generator=generator)
    soft = 0.6 * F.one_hot(labels, K) + 0.4 * F.one_hot(labels.roll(1), K)
    weight = torch.rand(N, generator=generator, dtype=torch.float64)
    mask = torch.rand(N, K, generator=generator) < 0.5
    return similarity, labels, soft.double(), weight, mask


@PAIR
@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
def test_pair_module_is_its_function(kind, reduction, batch):
    similarity, labels, soft, weight, mask = batch
    module = build(kind, reduction=reduction, loss_weight=0.3)
    for target in (labels, soft):
        got = module(similarity, target, weight=weight, negative_mask=mask)
        wanted = PAIRS[kind](
            similarity, target, weight=weight, negative_mask=mask, reduction=reduction
        )
        torch.testing.assert_close(got, 0.3 * wanted)
        assert got.shape == ((N,) if reduction == 'none' else ())


@PAIR
def test_pair_module_is_the_loop_and_defaults_to_the_mean(kind, batch):
    similarity, _, soft, weight, mask = batch
    rows = zip(similarity.tolist(), soft.tolist(), mask.tolist())
    losses = torch.tensor([ROWS[kind](s, y, m) for s, y, m in rows], dtype=torch.float64)
    got = build(kind)(similarity, soft, weight=weight, negative_mask=mask)
    torch.testing.assert_close(got, (losses * weight).sum() / N)


def test_soft_negatives_reach_the_function(batch):
    similarity, _, soft, _, _ = batch
    got = build('SigmoidPairLoss', soft_negatives=True)(similarity, soft)
    wanted = F.binary_cross_entropy_with_logits(similarity, soft, reduction='sum') / N
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize('kind', list(UNIFORM))
def test_uniform_module_is_its_function(kind):
    weight = torch.randn(K, D)
    options = [dict(), dict(chunk_size=3)]
    if kind == 'SigmoidUniformLoss':
        options += [dict(include_self=True)]
    for option in options:
        got = build(kind, loss_weight=1.25, **option)(weight)
        torch.testing.assert_close(got, 1.25 * UNIFORM[kind](weight, **option))
    equation = bce3s.eq_24 if kind == 'SoftmaxUniformLoss' else bce3s.eq_5
    extra = (False,) if kind == 'SigmoidUniformLoss' else ()
    wanted = sum(equation(weight.tolist(), k, *extra) for k in range(K)) / K
    assert build(kind)(weight).item() == pytest.approx(wanted, rel=1e-5)


@PAIR
@pytest.mark.parametrize('beta', [0.0, 0.9, 0.9999])
def test_class_balanced_loss_is_the_printed_one(kind, beta, batch):
    similarity, labels = batch[:2]
    wanted = EQUATIONS[kind](similarity.tolist(), labels.tolist(), COUNTS, beta)
    got = balanced(kind, beta=beta, normalize=False)(similarity, labels)
    assert got.item() == pytest.approx(wanted, rel=1e-6)
    raw = [bce3s.class_balance(n, beta) for n in COUNTS]
    got = balanced(kind, beta=beta)(similarity, labels)
    assert got.item() == pytest.approx(wanted * K / sum(raw), rel=1e-6)


@PAIR
def test_class_balanced_loss_mixes_the_weights_of_soft_labels(kind, batch):
    similarity, _, soft, weight, mask = batch
    raw = [bce3s.class_balance(n, 0.99) for n in COUNTS]
    rows = zip(similarity.tolist(), soft.tolist(), mask.tolist(), weight.tolist())
    wanted = math.fsum(bce3s.dot(raw, y) * w * ROWS[kind](s, y, m) for s, y, m, w in rows) / N
    module = balanced(kind, beta=0.99, normalize=False)
    got = module(similarity, soft, weight=weight, negative_mask=mask)
    assert got.item() == pytest.approx(wanted, rel=1e-6)
    one_hot = F.one_hot(batch[1], K).double()
    torch.testing.assert_close(module(similarity, one_hot), module(similarity, batch[1]))


def test_class_balanced_defaults():
    module = build('ClassBalancedLoss', class_counts=COUNTS)
    wanted = torch.tensor([bce3s.class_balance(n, 0.9999) for n in COUNTS])
    torch.testing.assert_close(module.class_weight, wanted * K / wanted.sum())
    assert module.class_weight.dtype == torch.float32
    assert type(module.criterion) is MODELS.get('SigmoidPairLoss')


@PAIR
def test_class_balanced_criterion_keeps_its_options(kind, batch):
    similarity, labels = batch[:2]
    module = balanced(kind, criterion=dict(loss_weight=0.5, reduction='none'))
    per_sample = module(similarity, labels)
    torch.testing.assert_close(per_sample.mean(), 0.5 * balanced(kind)(similarity, labels))


@PAIR
@pytest.mark.parametrize('normalize', [True, False])
def test_equal_counts_reduce_to_the_plain_loss(kind, normalize, batch):
    similarity, labels, soft = batch[:3]
    module = balanced(kind, counts=[50] * K, beta=0.99, normalize=normalize)
    factor = 1.0 if normalize else bce3s.class_balance(50, 0.99)
    for target in (labels, soft):
        wanted = factor * build(kind)(similarity, target)
        torch.testing.assert_close(module(similarity, target), wanted, rtol=1e-6, atol=0)


@PAIR
def test_relabelling_the_classes_changes_nothing(kind, batch):
    similarity, labels, soft, weight, mask = batch
    permutation = torch.tensor([2, 0, 3, 1])
    counts = [COUNTS[k] for k in permutation]
    targets = [(labels, permutation.argsort()[labels]), (soft, soft[:, permutation])]
    pairs = [(balanced(kind), balanced(kind, counts=counts)), (build(kind),) * 2]
    for one, two in pairs:
        for target, relabelled in targets:
            torch.testing.assert_close(
                one(similarity, target, weight=weight, negative_mask=mask),
                two(similarity[:, permutation], relabelled, weight, mask[:, permutation]),
            )


def test_the_bce3s_presets_criteria_and_defaults():
    head = build('BCE3SHead', num_classes=K, in_channels=D)
    assert (head.loss_module.negative_ratio, head.slots['contrast'].reduction) == (0.4, 'sum')
    assert (
        head.slots['contrast'].criterion.loss_weight,
        head.slots['uniform'].criterion.loss_weight,
    ) == (0.1, 1.0)
    assert head.slots['contrast'].temperature == 1.0
    options = dict(contrast_weight=0.3, uniform_weight=1.25, negative_ratio=0.7, temperature=0.2)
    options |= dict(contrast_reduction='mean', classifier=dict(bias=False), class_counts=COUNTS)
    head = build('BCE3SHead', num_classes=K, in_channels=D, **options)
    assert (head.loss_module.negative_ratio, head.slots['contrast'].reduction) == (0.7, 'mean')
    assert (
        head.slots['contrast'].criterion.loss_weight,
        head.slots['uniform'].criterion.loss_weight,
    ) == (0.3, 1.25)
    assert (head.slots['contrast'].temperature, head.classifier.bias) == (0.2, None)
    assert head.class_counts.tolist() == COUNTS


def test_a_rare_class_weighs_more():
    weight = build('ClassBalancedLoss', class_counts=COUNTS).class_weight
    assert weight.argsort(descending=True).tolist() == [2, 0, 3, 1]


@pytest.mark.parametrize('kind', [*EVERY_PAIR, *UNIFORM])
def test_criteria_leave_no_trace_in_a_checkpoint(kind):
    options = dict(class_counts=COUNTS) if kind == 'ClassBalancedLoss' else {}
    module = build(kind, **options)
    assert module.state_dict() == {}
    assert list(module.parameters()) == []


@pytest.mark.parametrize('scale', [1.0, 1e4])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('kind', EVERY_PAIR)
def test_half_precision_is_computed_in_float32(kind, dtype, scale, batch):
    options = dict(class_counts=COUNTS) if kind == 'ClassBalancedLoss' else {}
    module = build(kind, **options)
    similarity = (scale * batch[0] / 10).to(dtype).requires_grad_()
    for target in (batch[1], batch[2].to(dtype)):
        with torch.autocast('cpu', dtype):
            loss = module(similarity, target)
        wanted = module(similarity.detach().float(), target)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, wanted)
        (gradient,) = torch.autograd.grad(loss, similarity)
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize('kind', list(UNIFORM))
def test_uniform_loss_under_autocast_is_that_without(kind):
    weight = torch.randn(K, D, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16):
        loss = build(kind)(weight)
    torch.testing.assert_close(loss, build(kind)(weight))
    assert torch.autograd.grad(loss, weight)[0].isfinite().all()


@pytest.mark.parametrize(
    ('options', 'error', 'match'),
    [
        (dict(class_counts=[3, 0]), ValueError, 'class 1 has 0 training images'),
        (dict(class_counts=[]), ValueError, 'class_counts is empty'),
        (dict(class_counts='no-lt'), ValueError, "unknown class_counts 'no-lt'"),
        (dict(class_counts=[3, 1], beta=1.0), ValueError, r'beta must be in \[0, 1\), got 1.0'),
    ],
)
def test_bad_class_balanced_options_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        build('ClassBalancedLoss', **options)


def test_bad_inputs_are_refused(batch):
    similarity, labels = batch[:2]
    for kind in PAIRS:
        with pytest.raises(ValueError, match='target must have shape'):
            build(kind)(similarity, labels[:-1])
        with pytest.raises(ValueError, match="reduction must be one of .* got 'max'"):
            build(kind, reduction='max')(similarity, labels)
    for kind in UNIFORM:
        with pytest.raises(ValueError, match='weight must have shape'):
            build(kind)(torch.rand(K))
    for kind in UNIFORM:
        with pytest.raises(ValueError, match='chunk_size must be .* got 0'):
            build(kind, chunk_size=0)(torch.rand(K, D))
    # Too many counts would pass unnoticed; too few end in an IndexError, on a GPU in an abort.
    for counts in ([*COUNTS, 7], COUNTS[:-1]):
        with pytest.raises(ValueError, match=f'class_counts .*{len(counts)}.*{K}'):
            balanced(counts=counts)(similarity, labels.clamp(max=2))
