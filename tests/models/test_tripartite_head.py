"""The head's losses against loops over the printed equations, its bank, views and errors."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from reference import bce3s

import mmlt  # noqa: F401

K, D, TAU, N = 5, 6, 0.5, 4
COUNTS = [40, 7, 90, 3, 15]
LABELS = torch.tensor([2, 0, 2, 4])
PARTNER = torch.tensor([3, 2, 0, 1])
ROWS = {'sigmoid': bce3s.eq_3_soft, 'softmax': bce3s.eq_22_soft}
BOTH = pytest.mark.parametrize('kind', list(ROWS))


def make_head(kind='sigmoid', bank='full', seed=0, **options):
    torch.manual_seed(seed)
    neck = dict(out_channels=3, temperature=TAU) | options.pop('neck', {})
    options = dict(joint=kind, contrast=kind, uniform=kind, neck=neck) | options
    head = MODELS.build(dict(type='TripartiteHead', num_classes=K, in_channels=D, **options))
    if bank == 'full':
        head.slots['contrast'].write(torch.randn(K, D), torch.arange(K))
    return head.double()


def sampled(**options):
    return dict(joint=dict(type='SigmoidPairLoss', **options))


def to_samples(*targets, width=K):
    made = []
    for view, target in enumerate(targets):
        for value in target:
            sample = DataSample(metainfo=dict(view=view, num_classes=width))
            made.append(sample.set_gt_score(value) if value.dim() else sample.set_gt_label(value))
    return made


def three_views(lam=0.7):
    torch.manual_seed(1)
    plain = F.one_hot(LABELS, K).double()
    mixed = lam * plain + (1 - lam) * plain[PARTNER]
    return torch.randn(3 * N, D).double(), to_samples(LABELS, mixed, mixed), [plain, mixed, mixed]


def logits_of(head, features):
    rows, bias = head.classifier.weight.tolist(), head.classifier.bias.tolist()
    units = [[v / bce3s.length(row) for v in row] for row in rows]
    return [[bce3s.dot(x, w) + b for w, b in zip(units, bias)] for x in features.tolist()]


def similarities_of(head, features, bank):
    projections = head.slots['contrast'].projector(features).tolist()
    return [[bce3s.cosine(z, row) / TAU for row in bank] for z in projections]


def mean_of(rows, similarities, targets, kept=None):
    kept = kept or [None] * len(similarities)
    losses = [rows(s, y, m) for s, y, m in zip(similarities, targets.tolist(), kept)]
    return sum(losses) / len(losses)


@pytest.mark.parametrize(('kind', 'equation'), [('sigmoid', 'eq_6'), ('softmax', 'eq_25')])
def test_one_view_is_the_printed_loss(kind, equation):
    slots = {'sigmoid': 'SigmoidPairLoss', 'softmax': 'SoftmaxPairLoss'}
    uniform = dict(type=slots[kind].replace('Pair', 'Uniform'), loss_weight=1.25)
    if kind == 'sigmoid':
        uniform['include_self'] = True
    head = make_head(kind, contrast=dict(type=slots[kind], loss_weight=0.3), uniform=uniform)
    features, bank = torch.randn(N, D).double(), head.slots['contrast'].bank.tolist()
    wanted = getattr(bce3s, equation)(
        *(
            logits_of(head, features),
            head.slots['contrast'].projector(features).tolist(),
            LABELS.tolist(),
        ),
        *(bank, head.classifier.weight.tolist(), TAU, 0.3, 1.25),
    )
    losses = head.loss((features,), to_samples(LABELS))
    assert sorted(losses) == ['loss_contrast', 'loss_joint', 'loss_uniform']
    assert sum(losses.values()).item() == pytest.approx(wanted, rel=1e-6)


@BOTH
@pytest.mark.parametrize('reduction', ['mean', 'sum'])
def test_three_views_joint_contrast_and_bank(kind, reduction):
    head = make_head(kind, neck=dict(reduction=reduction))
    features, samples, targets = three_views()
    before, filled = head.slots['contrast'].bank.tolist(), head.slots['contrast'].filled.tolist()
    views, rows = features.chunk(3), ROWS[kind]
    joint = [mean_of(rows, logits_of(head, x), y) for x, y in zip(views, targets)]
    # The similarities are to the bank as it was before this step.
    contrast = [
        mean_of(rows, similarities_of(head, x, before), y) for x, y in zip(views[1:], targets[1:])
    ]
    losses = head.loss((features,), samples)
    assert losses['loss_joint'].item() == pytest.approx(sum(joint) / 3, rel=1e-6)
    wanted = sum(contrast) / (2 if reduction == 'mean' else 1)
    assert losses['loss_contrast'].item() == pytest.approx(wanted, rel=1e-6)
    plain = head.slots['contrast'].projector(views[0]).tolist()
    after, _ = bce3s.write_bank(before, filled, plain, LABELS.tolist())
    torch.testing.assert_close(
        head.slots['contrast'].bank.data, torch.tensor(after, dtype=torch.float64)
    )


@BOTH
def test_relabelling_the_classes_changes_nothing(kind):
    permutation = torch.tensor([3, 0, 4, 1, 2])  # new class j is the old class permutation[j]
    joint = dict(type='ClassBalancedLoss', criterion=dict(type=f'{kind.capitalize()}PairLoss'))
    options = dict(joint=joint, neck=dict(fill_epochs=0))
    one = make_head(kind, class_counts=COUNTS, **options)
    two = make_head(kind, class_counts=[COUNTS[k] for k in permutation], **options)
    two.slots['contrast'].projector.load_state_dict(one.slots['contrast'].projector.state_dict())
    for name in (
        'classifier.weight',
        'classifier.bias',
        'slots.contrast.bank',
        'slots.contrast.seen',
    ):
        two.get_parameter(name).data.copy_(one.get_parameter(name).data[permutation])
    features, _, targets = three_views()
    losses = one.loss((features,), to_samples(LABELS, *targets[1:]))
    relabelled = permutation.argsort()[LABELS]
    soft = [target[:, permutation] for target in targets[1:]]
    torch.testing.assert_close(two.loss((features,), to_samples(relabelled, *soft)), losses)
    torch.testing.assert_close(
        two.slots['contrast'].bank.data, one.slots['contrast'].bank.data[permutation]
    )


@BOTH
def test_a_class_never_seen_is_neither_negative_nor_positive(kind):
    head = make_head(kind, bank='empty')
    head.slots['contrast'].write(torch.randn(2, D).double(), torch.tensor([0, 2]))
    features, labels = torch.randn(2, D).double(), torch.tensor([0, 1])
    rows = similarities_of(head, features, head.slots['contrast'].bank.tolist())
    a, b, c, d = (s for row in rows for s in (row[0], row[2]))
    wanted = {
        'sigmoid': bce3s.softplus(-a) + bce3s.softplus(b) + bce3s.softplus(c) + bce3s.softplus(d),
        'softmax': bce3s.softplus(b - a),
    }
    loss = head.loss((features,), to_samples(labels))['loss_contrast']
    assert loss.item() == pytest.approx(wanted[kind] / 2, rel=1e-6)


@pytest.mark.parametrize(('sampling', 'ratio'), [('sample', 0.4), ('batch', 0.8), ('batch', 0.4)])
def test_only_the_plain_view_resamples_negatives(sampling, ratio):
    joint = dict(type='SigmoidPairLoss', negative_ratio=ratio, negative_sampling=sampling)
    head = make_head(joint=joint)
    features, samples, targets = three_views()
    torch.manual_seed(7)
    if sampling == 'sample':
        kept = (torch.rand(N, K) < ratio).tolist()
    else:
        draw, classes = torch.rand(K).tolist(), set(LABELS.tolist())
        others = sorted(set(range(K)) - classes, key=lambda k: -draw[k])
        classes |= set(others[: max(0, int(K * ratio) - len(classes))])
        kept = [[k in classes for k in range(K)]] * N
    rows, views = bce3s.eq_3_soft, features.chunk(3)
    parts = [mean_of(rows, logits_of(head, views[0]), targets[0], kept)]
    parts += [mean_of(rows, logits_of(head, x), y) for x, y in zip(views[1:], targets[1:])]
    torch.manual_seed(7)
    loss = head.loss((features,), samples)['loss_joint']
    assert loss.item() == pytest.approx(sum(parts) / 3, rel=1e-6)


def test_predict_and_accuracy_come_from_the_classifier():
    head = make_head(cal_acc=True, topk=(1, 2))
    features, samples, _ = three_views()
    logits = torch.tensor(logits_of(head, features[:N]))
    hits = logits.argsort(dim=1, descending=True) == LABELS[:, None]
    losses = head.loss((features,), samples)
    for k in (1, 2):
        wanted = 100 * hits[:, :k].any(dim=1).double().mean().item()
        assert float(losses[f'accuracy_top-{k}'][0]) == pytest.approx(wanted)
    predicted = head.predict((features[:N],), to_samples(LABELS))
    assert [s.pred_label.item() for s in predicted] == logits.argmax(dim=1).tolist()
    assert [s.gt_label.item() for s in predicted] == LABELS.tolist()


def test_the_next_step_after_loading_is_the_same():
    one, two = make_head(class_counts=COUNTS), make_head(class_counts=COUNTS, bank='', seed=9)
    features, samples, _ = three_views()
    one.slots['contrast'].seen.data.mul_(40)  # past the fill phase
    one.loss((features,), samples)
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for head in (one, two):
        sum(head.loss((features + 1,), samples).values()).backward()
    for (name, a), b in zip(one.named_parameters(), two.parameters()):
        assert torch.equal(a, b), name
        assert (
            (a.grad is None)
            if name in ('slots.contrast.bank', 'slots.contrast.seen')
            else torch.equal(a.grad, b.grad)
        )


@pytest.mark.parametrize(
    'precision', ['float32', 'bfloat16 autocast', 'float16 autocast', 'bfloat16']
)
@pytest.mark.parametrize('case', ['usual', 'large', 'one class', 'zero'])
@BOTH
def test_loss_and_gradient_are_finite(kind, case, precision):
    dtype = getattr(torch, precision.split()[0])
    head = make_head(kind).to(dtype if precision == 'bfloat16' else torch.float)
    if kind == 'sigmoid':
        head.loss_module.negative_ratio = 0.6
    scale = {'usual': 1, 'large': 1e4, 'one class': 1, 'zero': 0}[case]
    features = (scale * torch.randn(3 * N, D)).to(dtype).requires_grad_()
    labels = LABELS * (case != 'one class')
    mixed = 0.5 * F.one_hot(labels, K) + 0.5 * F.one_hot(labels[PARTNER], K)
    with torch.autocast('cpu', dtype, enabled='autocast' in precision):
        losses = head.loss((features,), to_samples(labels, mixed, mixed))
    sum(losses.values()).backward()
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    gradients = {n: p.grad for n, p in head.named_parameters() if p.requires_grad}
    assert all(g.isfinite().all() for g in (features.grad, *gradients.values()))
    assert gradients['classifier.weight'].abs().sum() > 0


@pytest.mark.parametrize(
    ('options', 'error', 'match'),
    [
        (dict(class_counts=[1, 2]), ValueError, 'class_counts has 2 classes, num_classes is 5'),
        (sampled(negative_ratio=0), ValueError, r'negative_ratio must be in \(0, 1\], got 0'),
        (sampled(negative_ratio=1.1), ValueError, r'negative_ratio must be in \(0, 1\], got 1.1'),
        (sampled(negative_sampling='row'), ValueError, "negative_sampling must be .* got 'row'"),
        (dict(neck=dict(reduction='max')), ValueError, "reduction must be .* got 'max'"),
        (dict(joint_views=0), ValueError, 'joint_views must be >= 1, got 0'),
        (dict(joint='hinge'), ValueError, "joint must be one of .*'softmax'.* got 'hinge'"),
        (dict(uniform='hinge'), ValueError, "uniform must be one of .* got 'hinge'"),
        (dict(contrast=3), TypeError, 'contrast must be a name of .*, a config or a module, got 3'),
        (dict(neck=dict(fill_epochs=1)), ValueError, 'fill_epochs needs class_counts'),
        (dict(joint=dict(type='ClassBalancedLoss')), TypeError, 'class_counts must be .* None'),
    ],
)
def test_bad_options_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        make_head(**options)


@pytest.mark.parametrize('ratio', [0.5, 1.0])
def test_bad_inputs_are_refused(ratio):
    head = make_head(**sampled(negative_ratio=ratio)).float()
    with pytest.raises(ValueError, match=r'in_channels of TripartiteHead is 6, .*\(4, 7\)$'):
        head.loss((torch.rand(N, D + 1),), to_samples(LABELS))
    with pytest.raises(ValueError, match='GlobalAveragePooling neck missing'):
        head.predict((torch.rand(N, D, 2, 2),))
    with pytest.raises(ValueError, match=r'must have shape .*\(4, 5\).* got \(4, 3\)'):
        head.loss((torch.rand(N, D),), to_samples(torch.rand(N, 3), width=3))
    _, samples, _ = three_views()
    for wrong in (samples[::-1], samples[:-1], samples[::3] + samples[1::3] + samples[2::3]):
        with pytest.raises(ValueError, match='data_samples must hold the same number .* got views'):
            head.loss((torch.rand(len(wrong), D),), wrong)
