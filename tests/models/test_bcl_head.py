"""BCLHead and PrototypeNeck: which view goes where, against loops over the printed equations."""

import math
from statistics import mean

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from reference import bcl

COUNTS = [4, 60, 9, 200]  # unsorted
K, D, N = 4, 6, 5
LABELS = torch.tensor([0, 1, 3, 1, 0])  # class 2 is absent
SMALL = dict(hidden_channels=7, out_channels=3)
BANK = dict(type='MemoryBankNeck')


def build(kind='BCLHead', **options):
    torch.manual_seed(1)
    neck = SMALL | options.pop('neck', {})
    config = dict(type=kind, num_classes=K, in_channels=D, class_counts=COUNTS, neck=neck)
    return MODELS.build(config | options).double()


def samples(labels=LABELS, views=3):
    return [
        DataSample(metainfo=dict(view=view)).set_gt_label(label)
        for view in range(views)
        for label in labels.tolist()
    ]


@pytest.fixture
def features():
    return torch.randn(3 * N, D, generator=torch.Generator().manual_seed(0)).double()


def mlp(layers, rows):
    """Linear, BatchNorm over the rows, ReLU, Linear, unit length."""
    first, norm, _, last = layers
    hidden = rows @ first.weight.T + first.bias
    mean, var = hidden.mean(dim=0), hidden.var(dim=0, unbiased=False)
    hidden = (hidden - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias
    out = hidden.clamp(min=0) @ last.weight.T + last.bias
    return out / out.norm(dim=1, keepdim=True)


def items(head, features):
    return mlp(head.slots['contrast'].projector, features[N:]).tolist()


def test_the_first_view_is_classified_and_the_others_are_contrasted(features):
    head = build()
    losses = head.loss((features,), samples())
    assert set(losses) == {'loss_joint', 'loss_contrast'}
    logits = features[:N] @ head.classifier.weight.T + head.classifier.bias
    joint = [bcl.eq_10(phi, c, COUNTS) for phi, c in zip(logits.tolist(), LABELS.tolist())]
    assert losses['loss_joint'].item() == pytest.approx(2.0 * mean(joint), rel=1e-6)

    z, y = items(head, features), LABELS.tolist() * 2
    prototypes = mlp(head.slots['contrast'].prototype_projector, head.classifier.weight).tolist()
    contrast = [bcl.eq_9(i, z, y, prototypes, 0.1) for i in range(2 * N)]
    assert losses['loss_contrast'].item() == pytest.approx(0.6 * mean(contrast), rel=1e-9)


def test_only_its_own_views_reach_a_slot(features):
    features.requires_grad_()
    losses = build().loss((features,), samples())
    (joint,) = torch.autograd.grad(losses['loss_joint'], features, retain_graph=True)
    (contrast,) = torch.autograd.grad(losses['loss_contrast'], features)
    assert joint[:N].abs().sum() > 0
    assert joint[N:].abs().sum() == 0
    assert contrast[:N].abs().sum() == 0
    assert (contrast[N:].abs().sum(dim=1) > 0).all()


def test_every_parameter_learns_from_every_step(features):
    head = build(uniform='sigmoid')
    losses = head.loss((features,), samples())
    assert set(losses) == {'loss_joint', 'loss_contrast', 'loss_uniform'}
    sum(losses.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_defaults_are_the_papers_for_cifar():
    head = MODELS.build(
        dict(type='BCLHead', num_classes=10, in_channels=64, class_counts='cifar10-lt-if100')
    )
    assert (head.loss_module.loss_weight, head.slots['contrast'].criterion.loss_weight) == (
        2.0,
        0.6,
    )
    assert head.slots['contrast'].criterion.temperature == 0.1
    assert type(head.classifier) is torch.nn.Linear
    assert head.slots['joint'].views == 1
    for layers in (head.slots['contrast'].projector, head.slots['contrast'].prototype_projector):
        assert [type(layer).__name__ for layer in layers] == [
            'Linear',
            'BatchNorm1d',
            'ReLU',
            'Linear',
        ]
        assert (layers[0].out_features, layers[3].out_features) == (512, 128)


def test_dbm_bcl_is_bcl_with_the_margin_on_the_first_view(features):
    options = dict(classifier=dict(type='CosineLinear', scale=30.0))
    plain = build(**options)
    margin = build(margin=dict(type='DBMMargin', max_margin=0.3, instance_margin='none'), **options)
    one, two = (head.loss((features,), samples()) for head in (plain, margin))
    torch.testing.assert_close(one['loss_contrast'], two['loss_contrast'])
    cosine = F.normalize(features[:N]) @ F.normalize(plain.classifier.weight).T
    logits = 30 * cosine
    for row, label in enumerate(LABELS.tolist()):
        angle = math.acos(cosine[row, label].item()) + 0.3 * min(COUNTS) / COUNTS[label]
        logits[row, label] = 30 * math.cos(angle)
    log_prior = torch.tensor(COUNTS).double().log()
    wanted = 2.0 * F.cross_entropy(logits + log_prior, LABELS)
    assert two['loss_joint'].item() == pytest.approx(wanted.item(), rel=1e-6)
    assert two['loss_joint'] > one['loss_joint']


@pytest.mark.parametrize(
    ('options', 'equation'),
    [
        (dict(class_averaging=False, class_complement=False), 'eq_1'),
        (dict(class_complement=False), 'eq_6'),
        (dict(form='L3'), 'eq_8'),
    ],
)
def test_the_parts_of_the_ablation(options, equation, features):
    head = build(**options)
    assert (head.slots['contrast'].prototype_projector is None) == (
        not options.get('class_complement', True)
    )
    loss = head.loss((features,), samples())['loss_contrast']
    arguments = [items(head, features), LABELS.tolist() * 2]
    if head.slots['contrast'].prototype_projector is not None:
        arguments.append(
            mlp(head.slots['contrast'].prototype_projector, head.classifier.weight).tolist()
        )
    wanted = [getattr(bcl, equation)(i, *arguments, 0.1) for i in range(2 * N)]
    assert loss.item() == pytest.approx(0.6 * mean(wanted), rel=1e-9)


def test_one_view_is_both_classified_and_contrasted(features):
    losses = build().loss((features[:N],), samples(views=1))
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())


def test_a_single_image_is_contrasted_with_its_other_view(features):
    losses = build().loss((features[:3],), samples(LABELS[:1]))
    sum(losses.values()).backward()
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())


def test_relabelling_the_classes_changes_nothing(features):
    permutation = torch.tensor([2, 0, 3, 1])  # new class j is the old class permutation[j]
    one = build()
    two = build(class_counts=[COUNTS[k] for k in permutation])
    two.load_state_dict(
        {
            name: value[permutation] if name.startswith('cl') else value
            for name, value in one.state_dict().items()
        }
    )
    losses = one.loss((features,), samples())
    relabelled = two.loss((features,), samples(permutation.argsort()[LABELS]))
    torch.testing.assert_close(relabelled, losses)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_gives_finite_losses_and_gradients(features, dtype):
    head = build(temperature=0.07).float()
    with torch.autocast('cpu', dtype):
        losses = head.loss(((100 * features).float(),), samples())
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_a_loaded_head_takes_the_same_next_step(features):
    one, two = build(), build()
    one.loss((features,), samples())  # moves the running statistics
    with torch.no_grad():
        one.classifier.weight.mul_(1.1)
    two.load_state_dict(one.state_dict())
    for _ in range(2):
        torch.testing.assert_close(
            two.loss((features,), samples()), one.loss((features,), samples()), rtol=0, atol=0
        )
    torch.testing.assert_close(two.state_dict(), one.state_dict(), rtol=0, atol=0)


def test_only_the_classifier_runs_in_the_test(features):
    head = build().eval()
    head.slots['contrast'].projector.forward = head.slots[
        'contrast'
    ].prototype_projector.forward = None
    wanted = features @ head.classifier.weight.T + head.classifier.bias
    torch.testing.assert_close(head((features,)), wanted)


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(contrast='sigmoid'), 'needs a criterion of views and prototypes.*SigmoidPairLoss'),
        (dict(neck=dict(prototypes=False)), 'class_complement=True, so the neck needs prototypes'),
        (
            dict(contrast=dict(type='BalancedContrastiveLoss', class_complement=False)),
            'class_complement=False, so the neck needs prototypes=False, got prototypes=True',
        ),
        (dict(form='L4'), 'L4'),
        (dict(temperature=0.0), 'temperature'),
        (dict(class_counts=[1, 2]), 'class_counts has 2 classes, num_classes is 4'),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        build(**options)


def test_the_banks_neck_refuses_the_balanced_loss():
    with pytest.raises(ValueError, match='MemoryBankNeck needs a PairCriterion.*BalancedContr'):
        build('TripartiteHead', contrast=dict(type='BalancedContrastiveLoss'), neck=BANK)


def test_mixed_views_are_refused(features):
    mixed = samples()
    for sample in mixed[N:]:
        sample.set_gt_score(torch.full((K,), 1 / K))
    with pytest.raises(ValueError, match='contrast needs one label an image'):
        build().loss((features,), mixed)
