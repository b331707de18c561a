"""The registered contrastive criteria, and the logit compensation that BCL joins them with."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmpretrain.registry import MODELS
from reference import bcl

from mmlt.functional import (
    balanced_contrastive_loss,
    class_log_prior,
    softmax_pair_loss,
    supervised_contrastive_loss,
)

N, V, K, D = 6, 2, 4, 5
BOTH = ['BalancedContrastiveLoss', 'SupervisedContrastiveLoss']


def build(kind, **options):
    return MODELS.build(ConfigDict(type=kind, **options))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(N, V, D, generator=generator, dtype=torch.float64)
    prototypes = torch.randn(K, D, generator=generator, dtype=torch.float64)
    target = torch.tensor([3, 0, 3, 1, 3, 0])  # class 2 is absent
    return F.normalize(features, dim=-1), target, F.normalize(prototypes, dim=-1)


@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
@pytest.mark.parametrize(
    ('options', 'complement'),
    [
        (options, complement)
        for options in (dict(), dict(class_averaging=False), dict(form='L2'), dict(form='L3'))
        for complement in (True, False)
        if complement or options.get('form') != 'L3'
    ],
)
def test_the_module_is_its_function(options, complement, reduction, batch):
    features, target, prototypes = batch
    options = dict(options, reduction=reduction)
    module = build(
        'BalancedContrastiveLoss',
        temperature=0.2,
        class_complement=complement,
        loss_weight=0.6,
        **options,
    )
    given = prototypes if complement else None
    wanted = 0.6 * balanced_contrastive_loss(features, target, given, 0.2, **options)
    torch.testing.assert_close(module(features, target, prototypes), wanted)
    if not complement:
        torch.testing.assert_close(module(features, target), wanted)


def test_the_default_is_the_released_loss(batch):
    features, target, prototypes = batch
    z, y = features.flatten(0, 1).tolist(), target.repeat_interleave(V).tolist()
    rows = [bcl.eq_9(i, z, y, prototypes.tolist(), 0.1) for i in range(N * V)]
    got = build('BalancedContrastiveLoss')(*batch)
    assert got.item() == pytest.approx(sum(rows) / (N * V), rel=1e-12)


@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
def test_supervised_contrast_is_its_function(reduction, batch):
    features, target, prototypes = batch
    module = build('SupervisedContrastiveLoss', reduction=reduction, loss_weight=2.0)
    wanted = 2 * supervised_contrastive_loss(features, target, 0.1, reduction=reduction)
    torch.testing.assert_close(module(features, target), wanted)
    torch.testing.assert_close(module(features, target, prototypes), wanted)


@pytest.mark.parametrize('kind', BOTH)
def test_the_criteria_leave_no_trace_in_a_checkpoint(kind):
    module = build(kind)
    assert module.state_dict() == {}
    assert list(module.parameters()) == []


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('kind', BOTH)
def test_half_precision_is_computed_in_float32(kind, dtype, batch):
    module = build(kind)
    features, prototypes = (x.to(dtype) for x in (batch[0], batch[2]))
    wanted = module(features.float(), batch[1], prototypes.float())
    with torch.autocast('cpu', dtype):
        loss = module(features.requires_grad_(), batch[1], prototypes)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, wanted)
    (gradient,) = torch.autograd.grad(loss, features)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_prototypes_must_be_there_when_they_are_items(batch):
    with pytest.raises(ValueError, match=r'class_complement=True needs prototypes .* got None'):
        build('BalancedContrastiveLoss')(*batch[:2])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(temperature=0), 'temperature must be positive, got 0'),
        (dict(form='L5'), "form must be one of .*, got 'L5'"),
        (dict(form='L2', class_averaging=False), "form 'L2' needs class_averaging=True"),
        (dict(form='L3', class_complement=False), "form 'L3' needs prototypes"),
        (dict(reduction='max'), "reduction must be one of .* got 'max'"),
    ],
)
def test_bad_options_are_refused(options, message, batch):
    with pytest.raises(ValueError, match=message):
        build('BalancedContrastiveLoss', **options)(*batch)


def test_logit_compensation_is_balanced_softmax():
    counts = [30, 500, 2, 80]  # not sorted, as on ImageNet-LT
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    target = torch.randint(K, (N,), generator=generator)
    pairs = zip(logits.tolist(), target.tolist())
    wanted = torch.tensor([bcl.eq_10(phi, c, counts) for phi, c in pairs], dtype=torch.float64)
    got = build('BalancedSoftmaxLoss', class_counts=counts, reduction='none')(logits, target)
    # The criterion keeps its shift in float32.
    torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6)
    shifted = logits + class_log_prior(torch.tensor(counts))
    got = softmax_pair_loss(shifted, target, reduction='none')
    torch.testing.assert_close(got, wanted)
