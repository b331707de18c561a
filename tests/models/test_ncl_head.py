"""NCL and DBM-NCL, their classified view: equations, check list, precision, bad input.

The contrast is in test_queue_slots.py and test_companion_classifier.py.
"""

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from reference import ncl

import mmlt  # noqa: F401
from mmlt.models.targets import ViewSamples

K, D, N, M = 7, 6, 8, 3
COUNTS = [90, 60, 40, 25, 12, 7, 3]
LABELS = torch.tensor([0, 1, 6, 3, 2, 5, 6, 0])
DBM = dict(classifier=dict(type='CosineLinear', scale=16.0), margin=dict(type='DBMMargin'))


def build(seed=1, **options):
    torch.manual_seed(seed)
    config = dict(type='NCLHead', num_classes=K, in_channels=D, class_counts=COUNTS, num_hard=3,
                  contrast=None)  # fmt: skip
    return MODELS.build(config | options).double()


def features(number=M):
    generator = torch.Generator().manual_seed(0)
    return tuple(2 * torch.randn(N, D, generator=generator).double() for _ in range(number))


def samples(labels=LABELS):
    return [DataSample().set_gt_label(label) for label in labels.tolist()]


def losses_of(head, feats=None, labels=LABELS):
    return head.loss(feats or features(len(head.experts)), samples(labels))


def logits_of(head, feats):
    """What the equations start from, with the scale of a cosine classifier."""
    return [inner.classifier(x) for inner, x in zip(head.experts, feats)]


def close(losses, wanted):
    # The shifts are float32, as in every criterion here.
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(
        {f'loss_{name}': value for name, value in wanted.items()}, rel=1e-6
    )


@pytest.mark.parametrize('mask', ['zero', 'exclude'])
@pytest.mark.parametrize('experts', [2, 3])
def test_ncl_is_its_equations(experts, mask):
    head, feats = build(hard_mask=mask, num_experts=experts), features(experts)
    z = [logits.tolist() for logits in logits_of(head, feats)]
    close(losses_of(head, feats), ncl.n7(z, z[0], LABELS.tolist(), COUNTS, 3, mask))


@pytest.mark.parametrize('mask', ['zero', 'exclude'])
@pytest.mark.parametrize('largest', [0.1, 0.3])
def test_dbm_ncl_is_its_equations(largest, mask):
    parts = dict(DBM, margin=dict(type='DBMMargin', max_margin=largest))
    head, feats, labels = build(hard_mask=mask, **parts), features(), LABELS.tolist()
    cosines = [inner.classifier.cosine(x).tolist() for inner, x in zip(head.experts, feats)]
    z = [ncl.dbm(rows, labels, COUNTS, 16.0, largest) for rows in cosines]
    # The hard classes are those of the bare cosines, whatever the margin does to the label.
    close(losses_of(head, feats), ncl.n7(z, cosines[0], labels, COUNTS, 3, mask))


def test_the_weights_are_those_of_the_equation():
    head = build(joint_weight=0.5, mining_weight=2.0, distillation_weight=0.3)
    feats = features()
    z = [logits.tolist() for logits in logits_of(head, feats)]
    wanted = ncl.n7(z, z[0], LABELS.tolist(), COUNTS, 3, 'zero', 0.5, 2.0, 0.3)
    close(losses_of(head, feats), wanted)


def test_one_expert_is_cross_entropy_on_all_and_on_the_hard_classes():
    head, feats = build(num_experts=1, distillation_weight=0), features(1)
    z = [logits.tolist() for logits in logits_of(head, feats)]
    wanted = ncl.n7(z, z[0], LABELS.tolist(), COUNTS, 3, 'zero')
    assert wanted.pop('distillation') == 0
    close(losses_of(head, feats), wanted)


@pytest.mark.parametrize('mask', ['zero', 'exclude'])
def test_with_all_classes_hard_every_term_is_there_twice(mask):
    losses = losses_of(build(num_hard=K, hard_mask=mask))
    torch.testing.assert_close(
        losses['loss_mining'], losses['loss_joint'] + losses['loss_distillation'], rtol=1e-6,
        atol=0,
    )  # fmt: skip


def test_equal_experts_distil_nothing():
    head, (x, *_) = build(), features()
    for inner in head.experts[1:]:
        inner.load_state_dict(head.experts[0].state_dict())
    x.requires_grad_()
    loss = losses_of(head, (x, x, x))['loss_distillation']
    loss.backward()
    assert abs(loss.item()) < 1e-9
    assert x.grad.abs().max() < 1e-9


def test_the_hard_classes_do_not_depend_on_the_counts():
    found = []
    for head in (build(), build(class_counts=COUNTS[::-1])):
        # A masked class has no part in the loss of one image: its bias gets no gradient.
        losses_of(head, tuple(x[:1] for x in features()), LABELS[:1])['loss_mining'].backward()
        found.append(
            [inner.classifier.bias.grad.nonzero()[:, 0].tolist() for inner in head.experts]
        )
    assert found[0] == found[1]
    assert [len(classes) for classes in found[0]] == [3] * M


@pytest.mark.parametrize('mask', ['zero', 'exclude'])
def test_a_multiple_of_the_counts_matters_to_the_zero_mask_alone(mask):
    losses = [
        losses_of(build(hard_mask=mask, class_counts=[n * f for n in COUNTS])) for f in (1, 9)
    ]
    for name in ('loss_joint', 'loss_distillation'):
        torch.testing.assert_close(losses[0][name], losses[1][name], rtol=1e-6, atol=0)
    same = torch.isclose(losses[0]['loss_mining'], losses[1]['loss_mining'], rtol=1e-4)
    assert same == (mask == 'exclude')


def test_dbm_without_a_margin_is_ncl_on_scaled_cosines():
    margin = dict(type='DBMMargin', max_margin=0.0)
    a, b = build(**dict(DBM, margin=margin)), build(**dict(DBM, margin=None))
    torch.testing.assert_close(losses_of(a), losses_of(b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('parts', [dict(), DBM], ids=['ncl', 'dbm-ncl'])
def test_relabelling_changes_nothing(parts):
    order = torch.randperm(K, generator=torch.Generator().manual_seed(1))
    head, other = build(**parts), build(**parts, class_counts=[COUNTS[k] for k in order])
    for inner, new in zip(head.experts, other.experts):
        for name, parameter in new.classifier.named_parameters():
            parameter.data = getattr(inner.classifier, name).data[order]
    labels = order.argsort()[LABELS]
    torch.testing.assert_close(losses_of(head), losses_of(other, labels=labels), rtol=1e-6, atol=0)


@pytest.mark.parametrize('parts', [dict(), DBM], ids=['ncl', 'dbm-ncl'])
@pytest.mark.parametrize('mask', ['zero', 'exclude'])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_finite_in_half_precision(dtype, mask, parts):
    head = build(hard_mask=mask, **parts).float()
    feats = [(50 * x).to(dtype).requires_grad_() for x in features()]
    with torch.autocast('cpu', torch.bfloat16):
        losses = losses_of(head, feats)
    sum(losses.values()).backward()
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    assert all(x.grad.isfinite().all() and x.grad.abs().max() > 0 for x in feats)


@pytest.mark.parametrize('parts', [dict(), DBM], ids=['ncl', 'dbm-ncl'])
def test_gradients_are_those_of_the_values(parts):
    head = build(**parts)
    feats = tuple(x.requires_grad_() for x in features())
    assert torch.autograd.gradcheck(
        lambda *feats: sum(losses_of(head, feats).values()), feats, fast_mode=True
    )


def test_the_default_number_of_hard_classes_is_that_of_the_release():
    found = {}
    for classes in (2, 10, 100, 1000, 8142):
        slot = MODELS.build(dict(type='HardCategoryMining', num_classes=classes, tau=0))
        found[classes] = slot.num_hard
    assert found == {2: 2, 10: 3, 100: 30, 1000: 300, 8142: 2442}


def test_slots_are_merged_by_name_and_can_be_taken_out():
    head = build(slots=dict(mining=dict(distillation_weight=0.1), distillation=None))
    assert list(head.slots) == ['mining']
    assert head.slots['mining'].distillation_weight == 0.1
    assert head.slots['mining'].num_hard == 3
    assert set(losses_of(head)) == {'loss_joint', 'loss_mining'}


@pytest.mark.parametrize(
    ('options', 'error', 'match'),
    [
        (dict(num_experts=1), ValueError, r'num_experts is 1: .*NCLHead: distillation_weight=0'),
        (dict(num_hard=K + 1), ValueError, r'num_hard must be in \[1, 7\], got 8'),
        (dict(num_hard=1), ValueError, 'num_hard must be at least 2, got 1'),
        (dict(hard_mask='inf'), ValueError, 'hard_mask must be one of'),
        (dict(distillation_weight=-0.1), ValueError, 'distillation_weight must be >= 0'),
        (dict(class_counts=[5] * 6 + [0]), ValueError, 'class 6 has 0 training images'),
        (dict(slots=dict(mining=None)), ValueError, 'num_hard=3 has no effect: mining is None'),
        (dict(head=dict(type='DBMHead')), TypeError, 'head is no argument of NCLHead'),
        (dict(margin=dict(type='DBMMargin')), ValueError, 'margin needs a classifier with cosines'),
        (dict(tempo=1), TypeError, 'tempo'),
        (dict(contrast_weight=0.5), ValueError, 'contrast_weight=0.5 has no effect'),
    ],
)
def test_bad_arguments_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        build(**options)


def test_mixtures_are_refused():
    soft = torch.rand(N, K).softmax(dim=1)
    with pytest.raises(ValueError, match='HardCategoryMining needs one label an image'):
        build().loss(features(), ViewSamples(samples(), (soft,)))
