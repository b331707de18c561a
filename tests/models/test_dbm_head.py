"""The margin slot of TripartiteHead, DBMHead, and the test-time options."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.functional import dbm_class_margin, ldam_class_margin

COUNTS = [4, 60, 9, 200]  # unsorted
K, D, N = 4, 6, 5


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 1, 3, 2, 0])
    return torch.randn(N, D, generator=generator), labels


def build(kind='DBMHead', **options):
    torch.manual_seed(1)
    config = dict(type=kind, num_classes=K, in_channels=D, class_counts=COUNTS)
    return MODELS.build(config | options)


def samples(labels, view=0, score=None):
    made = []
    for index, label in enumerate(labels.tolist()):
        sample = DataSample(metainfo=dict(view=view, num_classes=K)).set_gt_label(label)
        made.append(sample if score is None else sample.set_gt_score(score[index]))
    return made


def loop_logits(head, features, labels, scale=32.0):
    """Eqs. 6 to 9 with acos, one number at a time."""
    rows = []
    for x, y in zip(features.tolist(), labels.tolist()):
        cosines = []
        for w in head.classifier.weight.tolist():
            inner = sum(a * b for a, b in zip(x, w))
            cosines.append(inner / math.hypot(*x) / math.hypot(*w))
        margin = 0.1 * min(COUNTS) / COUNTS[y]
        if max(cosines) > cosines[y]:
            margin += margin * (1 - cosines[y]) / 2
        row = [scale * cosine for cosine in cosines]
        row[y] = scale * math.cos(math.acos(cosines[y]) + margin)
        rows.append(row)
    return rows


def logsumexp(row):
    return max(row) + math.log(sum(math.exp(value - max(row)) for value in row))


@pytest.mark.parametrize('method', ['ce', 'bs', 'cb'])
def test_loss_is_the_loop_over_the_paper(method, batch):
    features, labels = batch
    joint = dict(
        ce='softmax',
        bs=dict(type='BalancedSoftmaxLoss'),
        cb=dict(
            type='ClassBalancedLoss',
            beta=0.99,
            normalize=False,
            criterion=dict(type='SoftmaxPairLoss'),
        ),
    )[method]
    head = build(joint=joint)
    prior = [math.log(n / sum(COUNTS)) if method == 'bs' else 0.0 for n in COUNTS]
    total = 0.0
    for row, y in zip(loop_logits(head, features, labels), labels.tolist()):
        row = [value + bias for value, bias in zip(row, prior)]
        weight = (1 - 0.99) / (1 - 0.99 ** COUNTS[y]) if method == 'cb' else 1.0
        total += weight * (logsumexp(row) - row[y])
    losses = head.loss((features,), samples(labels))
    assert list(losses) == ['loss_joint']
    assert losses['loss_joint'].item() == pytest.approx(total / N, rel=1e-5)


def test_relabelling_changes_nothing(batch):
    features, labels = batch
    order = torch.tensor([2, 0, 3, 1])  # new label -> old label
    joint = dict(type='BalancedSoftmaxLoss')
    head = build(joint=joint)
    renamed = build(joint=joint, class_counts=[COUNTS[k] for k in order])
    renamed.classifier.weight.data = head.classifier.weight.data[order]
    new_labels = order.argsort()[labels]
    torch.testing.assert_close(
        renamed.loss((features,), samples(new_labels)), head.loss((features,), samples(labels))
    )


def test_test_time_sees_no_margin(batch):
    features, _ = batch
    head = build()
    wanted = 32 * F.normalize(features) @ F.normalize(head.classifier.weight).T
    torch.testing.assert_close(head((features,)), wanted)


def test_mixed_views_get_no_margin(batch):
    features, labels = batch
    head = build()
    score = F.one_hot(labels, K) * 0.6 + F.one_hot(labels.roll(1), K) * 0.4
    both = samples(labels) + samples(labels, view=1, score=score)
    loss = head.loss((torch.cat([features, features]),), both)['loss_joint']
    plain = head.loss((features,), samples(labels))['loss_joint']
    mixed = F.cross_entropy(head((features,)), score)
    torch.testing.assert_close(loss, (plain + mixed) / 2)


def test_margin_stands_beside_contrast_and_uniform(batch):
    features, labels = batch
    slots = dict(contrast='sigmoid', uniform='sigmoid', neck=dict(fill_epochs=0))
    head = build(joint=dict(type='BalancedSoftmaxLoss'), **slots)
    losses = head.loss((features,), samples(labels))
    assert set(losses) == {'loss_joint', 'loss_contrast', 'loss_uniform'}
    sum(losses.values()).backward()
    trained = [p for p in head.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


def test_ldam_margin_in_the_slot(batch):
    features, labels = batch
    head = build(
        'TripartiteHead',
        joint='softmax',
        classifier=dict(type='CosineLinear', scale=30.0),
        margin=dict(type='LDAMMargin'),
    )
    logits = head((features,))
    moved = 30 * ldam_class_margin(COUNTS)[labels]
    logits = logits - F.one_hot(labels, K) * moved.unsqueeze(1)
    losses = head.loss((features,), samples(labels))
    torch.testing.assert_close(losses['loss_joint'], F.cross_entropy(logits, labels))


def test_checkpoint_holds_no_margin_and_loads(batch):
    features, labels = batch
    head, other = build(), build(max_margin=0.3)
    assert set(head.state_dict()) == {'class_counts', 'classifier.weight'}
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other((features,)), head((features,)))
    torch.testing.assert_close(
        other.slots['joint'].margin.class_margin, dbm_class_margin(COUNTS, 0.3)
    )


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_is_finite(dtype, batch):
    features, labels = batch
    head = build(joint=dict(type='BalancedSoftmaxLoss'))
    features = (1e3 * features).requires_grad_()
    with torch.autocast('cpu', dtype):
        loss = head.loss((features.to(dtype),), samples(labels))['loss_joint']
    loss.backward()
    assert loss.isfinite()
    assert features.grad.isfinite().all()


def linear_head(**options):
    return build(
        'TripartiteHead', joint='softmax', classifier=dict(type='torch.nn.Linear'), **options
    )


def test_logit_adjustment_subtracts_the_prior(batch):
    features, _ = batch
    log_prior = (torch.tensor(COUNTS) / sum(COUNTS)).log()
    plain, adjusted = linear_head(), linear_head(adjustment=dict(tau=1.5))
    torch.testing.assert_close(adjusted((features,)), plain((features,)) - 1.5 * log_prior)


def test_logit_adjustment_adds_the_prior_of_the_tested_set(batch):
    features, _ = batch
    target = [10, 20, 30, 40]
    plain = linear_head()
    shifted = linear_head(adjustment=dict(target_class_counts=target))
    wanted = plain((features,)).softmax(dim=1) * torch.tensor(target) / torch.tensor(COUNTS)
    wanted = wanted / wanted.sum(dim=1, keepdim=True)
    torch.testing.assert_close(shifted((features,)).softmax(dim=1), wanted)
    # Trained on the prior that is tested: nothing to adjust.
    same = linear_head(adjustment=dict(target_class_counts=COUNTS))
    torch.testing.assert_close(same((features,)), plain((features,)))
    balanced = linear_head(adjustment=dict(target_class_counts=[7] * K))
    adjusted = linear_head(adjustment=dict(type='LogitAdjustment'))((features,))
    torch.testing.assert_close(balanced((features,)).softmax(1), adjusted.softmax(1))
    assert set(shifted.state_dict()) == set(plain.state_dict())


def test_scaled_linear_begins_as_the_linear_classifier_it_goes_on_from(batch):
    features, labels = batch
    plain, scaled = linear_head(), build('TripartiteHead', classifier=dict(type='ScaledLinear'))
    missing = scaled.load_state_dict(plain.state_dict(), strict=False)
    assert missing.missing_keys == ['classifier.scale']
    torch.testing.assert_close(scaled((features,)), plain((features,)))
    factors = torch.tensor([1.0, 0.5, 2.0, 3.0])
    scaled.classifier.scale.data.copy_(factors)
    torch.testing.assert_close(scaled((features,)), factors * plain((features,)))


def test_test_time_options_do_not_train(batch):
    features, labels = batch
    plain = linear_head().loss((features,), samples(labels))
    changed = linear_head(adjustment=dict(tau=1.0))
    torch.testing.assert_close(changed.loss((features,), samples(labels)), plain)
    changed = build('TripartiteHead', joint='softmax', classifier=dict(type='TauNormLinear'))
    torch.testing.assert_close(changed.loss((features,), samples(labels)), plain)


@pytest.mark.parametrize('tau', [0.0, 0.5, 1.0])
def test_tau_normalization_divides_the_rows(tau, batch):
    features, _ = batch
    head = build('TripartiteHead', classifier=dict(type='TauNormLinear', tau=tau)).eval()
    rows = [w / w.norm() ** tau for w in head.classifier.weight]
    torch.testing.assert_close(head((features,)), features @ torch.stack(rows).T)


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(margin=dict(type='DBMMargin')), 'margin needs a classifier with cosines.*Linear'),
        (dict(class_counts=None, adjustment=dict(tau=1.0)), 'LogitAdjustment needs class_counts'),
        (dict(adjustment=dict(tau=-0.5)), 'tau of LogitAdjustment must be >= 0, got -0.5'),
        (dict(adjustment=dict(tau=math.nan)), 'tau of LogitAdjustment must be >= 0, got nan'),
        (
            dict(adjustment=dict(target_class_counts=[1, 2])),
            'target_class_counts has 2 classes, class_counts has 4',
        ),
    ],
)
def test_bad_options_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        linear_head(**options)


@pytest.mark.parametrize('tau', [1.5, -0.1, math.nan])
def test_tau_of_the_normalization_is_a_share(tau):
    with pytest.raises(ValueError, match=r'tau of TauNormLinear must be in \[0, 1\], got'):
        build('TripartiteHead', classifier=dict(type='TauNormLinear', tau=tau))
