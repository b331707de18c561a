"""Several heads as one: losses, prediction, export, checkpoints, and what is refused."""

import copy
import io

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn as nn
from mmpretrain.registry import HOOKS, MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401
from mmlt.models.slots import CompanionOutput, ExpertBatch
from mmlt.models.targets import ViewSamples

K, D, N, M = 5, 6, 4, 3
COUNTS = [40, 7, 90, 3, 12]
LABELS = torch.tensor([0, 1, 3, 2])
BALPOE = [dict(joint=dict(type='BalancedSoftmaxLoss', tau=tau)) for tau in (0.0, 1.0, 2.0)]
DISTILLATION = dict(distillation=dict(type='MutualDistillation'))
HEADS = {
    'plain': dict(head=dict(joint='softmax')),
    'balpoe': dict(head=BALPOE),
    'tied': dict(head=dict(type='DBMHead'), slots=DISTILLATION),
    'tripartite': dict(head=dict(type='BCE3SHead', neck=dict(fill_epochs=0)), num_experts=2),
    'adjusted': dict(head=dict(adjustment=dict(tau=1.5), classifier=dict(type='CosineLinear'))),
    'ncl': dict(type='NCLHead', contrast=None),
}


def build(seed=1, **options):
    torch.manual_seed(seed)
    config = dict(type='ExpertsHead', num_classes=K, in_channels=D, class_counts=COUNTS)
    return MODELS.build(config | options)


def samples(labels=LABELS):
    return [DataSample().set_gt_label(label) for label in labels.tolist()]


def features(seed=0, number=M, size=N):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(size, D, generator=generator) for _ in range(number))


def test_losses_are_the_sums_over_the_experts():
    head, feats = build(head=BALPOE, slots=DISTILLATION), features()
    losses = head.loss(feats, samples())
    assert set(losses) == {'loss_joint', 'loss_distillation'}
    single = [inner.loss((x,), samples())['loss_joint'] for inner, x in zip(head.experts, feats)]
    torch.testing.assert_close(losses['loss_joint'], sum(single))
    # Each expert has its own criterion: the shift of tau 0, 1 and 2.
    assert len({loss.item() for loss in single}) == 3
    assert [inner.loss_module.tau for inner in head.experts] == [0, 1, 2]


def test_experts_of_one_config_start_from_different_numbers():
    head = build()
    a, b, c = (inner.classifier.weight for inner in head.experts)
    assert not torch.equal(a, b)
    assert not torch.equal(b, c)


def test_the_prediction_is_the_mean_of_the_logits_and_one_expert_by_choice():
    head, feats = build(keep_experts=True, keep_features=True).eval(), features()
    logits = [inner.classifier(x) for inner, x in zip(head.experts, feats)]
    torch.testing.assert_close(head(feats), sum(logits) / M)
    torch.testing.assert_close(head.expert_logits(feats), torch.stack(logits))
    found = head.predict(feats, samples())
    for i, sample in enumerate(found):
        torch.testing.assert_close(sample.pred_score, (sum(logits)[i] / M).softmax(0))
        for m in range(M):
            torch.testing.assert_close(sample.expert_scores[m], logits[m][i].softmax(0))
        assert torch.equal(sample.features, torch.cat([x[i] for x in feats]))
    one = build(expert=1).eval()
    assert torch.equal(one(feats), logits[1])


@pytest.mark.parametrize('name', HEADS)
def test_one_model_leaves_for_onnx(name):
    head = build(**HEADS[name]).eval()
    feats = features(number=len(head.experts))

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = head

        def forward(self, *feats):
            return self.head(feats)

    wanted = head(feats)
    exported = torch.export.export(Logits(), feats).module()
    torch.testing.assert_close(exported(*feats), wanted)
    file, names = io.BytesIO(), [f'x{m}' for m in range(len(feats))]
    torch.onnx.export(Logits(), feats, file, dynamo=False, input_names=names)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=['CPUExecutionProvider'])
    (got,) = session.run(None, {key: x.numpy() for key, x in zip(names, feats)})
    np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', HEADS)
def test_save_load_and_the_next_step_is_the_same(name):
    def step(head, seed):
        torch.manual_seed(seed)
        optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
        loss = sum(head.loss(features(seed, len(head.experts)), samples()).values())
        loss.backward()
        optimizer.step()
        return loss

    head, other = build(**HEADS[name]), build(seed=2, **HEADS[name])
    step(head, 3)
    other.load_state_dict(copy.deepcopy(head.state_dict()))
    for parameter in head.parameters():
        parameter.grad = None
    assert step(head, 4) == step(other, 4)
    for key, value in head.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    assert {key.split('.')[0] for key in head.state_dict()} <= {'experts', 'slots'}


def test_the_configs_class_counts_count():
    head, other = build(), build(class_counts=[n + 1 for n in COUNTS])
    other.load_state_dict(head.state_dict())
    assert other.class_counts.tolist() == [n + 1 for n in COUNTS]


@pytest.mark.parametrize('name', HEADS)
def test_every_parameter_of_every_expert_learns(name):
    head = build(**HEADS[name])
    feats = [x.requires_grad_() for x in features(number=len(head.experts))]
    for _ in range(2):  # the bank of the second step is that of the first
        losses = head.loss(tuple(feats), samples())
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in head.parameters() if p.requires_grad)
    assert all(x.grad.abs().max() > 0 for x in feats)


def test_an_expert_learns_nothing_from_the_others_without_a_tie():
    head = build(head=dict(joint='softmax'))
    feats = [x.requires_grad_() for x in features()]
    head.experts[0].requires_grad_(False)
    alone = head.experts[1].loss((feats[1],), samples())['loss_joint']
    (wanted,) = torch.autograd.grad(alone, feats[1])
    (got,) = torch.autograd.grad(head.loss(tuple(feats), samples())['loss_joint'], feats[1])
    torch.testing.assert_close(got, wanted)


def test_mixed_views_go_to_the_experts_and_the_ties_see_the_plain_one():
    head = build(**HEADS['tied'])
    soft = torch.rand(N, K).softmax(dim=1)
    both = tuple(torch.cat([x, y]) for x, y in zip(features(0), features(1)))
    losses = head.loss(both, ViewSamples(samples(), (LABELS, soft)))
    plain = head.loss(features(0), samples())
    torch.testing.assert_close(losses['loss_distillation'], plain['loss_distillation'])
    assert not torch.isclose(losses['loss_joint'], plain['loss_joint'])


@MODELS.register_module()
class ToyTie(nn.Module):
    """A tie of a user: what it gets, and a companion's outputs."""

    def forward(self, batch):
        assert isinstance(batch, ExpertBatch)
        teacher = [one.companions['teacher'] for one in batch.experts]
        return (batch.logits() - torch.stack(teacher)).square().mean()


def test_a_tie_of_ones_own_is_a_slot_by_name():
    head, feats = build(slots=dict(toy=dict(type='ToyTie'))), features()
    losses = head.loss(feats, samples(), teacher=torch.zeros(N, K))
    wanted = head.expert_logits(feats).square().mean()
    torch.testing.assert_close(losses['loss_toy'], wanted)


def test_a_tie_that_a_hook_put_to_rest_is_left_out():
    head = build(slots=DISTILLATION)
    head.resting = frozenset(['distillation'])
    assert set(head.loss(features(), samples())) == {'loss_joint'}


def test_accuracy_is_that_of_the_mean():
    head, feats = build(cal_acc=True), features()
    (found,) = head.loss(feats, samples())['accuracy_top-1']
    wanted = (head(feats).argmax(1) == LABELS).float().mean() * 100
    assert float(found) == pytest.approx(wanted.item())


@pytest.mark.parametrize(
    ('kind', 'error'),
    [
        ('DeferredReweightingHook', TypeError),
        ('ClassifierRetrainingHook', TypeError),
        ('MaxNormHook', AttributeError),
    ],
)
def test_hooks_for_one_classifier_refuse_several(kind, error):
    runner = type('Runner', (), {})()
    runner.model = nn.Module()
    runner.model.head = build()
    hook = HOOKS.build(dict(type=kind) | ({} if kind == 'MaxNormHook' else dict(begin_epoch=1)))
    with pytest.raises(error, match='ExpertsHead'):
        hook.check(runner) if hasattr(hook, 'check') else hook.before_train(runner)


@pytest.mark.parametrize(
    ('options', 'error', 'match'),
    [
        (dict(num_experts=0), ValueError, 'num_experts must be an integer >= 1, got 0'),
        (dict(num_experts=2, head=BALPOE), ValueError, 'num_experts is 2, but head has 3 configs'),
        (dict(expert=3), ValueError, r'expert must be in \[0, 2\] or None, got 3'),
        (dict(head=nn.Identity()), TypeError, 'a module would be shared'),
        (dict(head='softmax'), TypeError, "head must be a config or a list of them, got 'softmax'"),
        (dict(head=[]), TypeError, r'a list of them, got \[\]'),
        (dict(head=[dict(), 3]), TypeError, r'head\[1\] must be a config or a module, got 3'),
        (dict(head=dict(type='ExpertsHead')), TypeError, 'one of its presets, got ExpertsHead'),
        (dict(head=dict(cal_acc=True)), ValueError, 'cal_acc has no effect in an expert'),
        (dict(head=dict(tempo=1)), TypeError, 'tempo'),
        (dict(tempo=1), TypeError, 'tempo'),
        (
            dict(num_experts=1, slots=DISTILLATION),
            ValueError,
            'MutualDistillation compares experts .* num_experts is 1',
        ),
        (
            dict(slots=dict(joint=dict(type='MutualDistillation'))),
            ValueError,
            "a name other than .'joint'.* got 'joint'",
        ),
        (dict(slots={'a.b': dict(type='MutualDistillation')}), ValueError, "got 'a.b'"),
        (
            dict(class_counts=None, slots=DISTILLATION),
            ValueError,
            'class_counts are needed by MutualDistillation: .* set tau=0',
        ),
        (dict(class_counts=[3, 4]), ValueError, 'class_counts has 2 classes, num_classes is 5'),
    ],
)
def test_bad_arguments_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        build(**options)


@pytest.mark.parametrize(
    ('feats', 'match'),
    [
        (
            features(number=1),
            r'3 experts, .* give 1 features: .*MultiExpertBackbone.*experts=3',
        ),
        (features(number=4), '3 experts, so it needs 3 features, but .* give 4 features'),
        (torch.zeros(3, N, D), 'give one tensor'),
        ((torch.zeros(N, D, 2, 2),) * 3, 'is a GlobalAveragePooling neck missing'),
        ((torch.zeros(N, D + 1),) * 3, 'in_channels of TripartiteHead is 6'),
    ],
)
@pytest.mark.parametrize('call', ['forward', 'loss'])
def test_features_that_are_not_those_of_the_experts_are_refused(call, feats, match):
    head = build()
    with pytest.raises(ValueError, match=match):
        head.loss(feats, samples()) if call == 'loss' else head(feats)


def test_the_row_counts_are_exchanged_once_for_all_experts(monkeypatch):
    calls = []
    monkeypatch.setattr('mmlt.models.slots.batch.row_counts', lambda rows: calls.append(len(rows)))
    head = build(**HEADS['tripartite'])
    head.loss(features(number=2), samples())
    assert calls == [N]
    head.loss(features(number=2), samples())
    assert calls == [N, N]


def test_a_companion_with_features_for_each_expert_hands_each_its_own():
    outputs = {}

    class Look(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def forward(self, batch):
            outputs[self.name] = batch.companions['teacher'].key
            return batch.views[0].sum()

    head = build(head=[dict(slots=dict(look=Look(m))) for m in range(2)])
    of_both, of_one = features(number=2), features(seed=1, number=1)
    head.loss(of_both, samples(), teacher=CompanionOutput({1: of_both}))
    assert [torch.equal(outputs[m], of_both[m]) for m in range(2)] == [True, True]
    head.loss(of_both, samples(), teacher=CompanionOutput({0: of_one}))
    assert [torch.equal(outputs[m], of_one[0]) for m in range(2)] == [True, True]
    with pytest.raises(ValueError, match=r'features of \[3\] experts, the head has 2'):
        head.loss(of_both, samples(), teacher=CompanionOutput({0: features(number=3)}))


@pytest.mark.parametrize(
    ('head', 'place'),
    [
        (dict(classifier=nn.Linear(D, K)), r'head\.classifier'),
        (dict(slots=dict(more=nn.BatchNorm1d(D))), r'head\.slots\.more'),
        ([dict(classifier=nn.Linear(D, K))] * 3, r'head\[0\]\.classifier'),
    ],
)
def test_a_module_that_the_experts_would_share_is_named(head, place):
    with pytest.raises(TypeError, match=place + ' must be a config: a module would be shared by 3'):
        build(head=head)
    build(head=head[0] if isinstance(head, list) else head, num_experts=1)  # nobody to share with


def test_a_module_without_state_may_be_shared():
    head = build(head=dict(joint=MODELS.build(dict(type='SoftmaxPairLoss'))))
    assert len({id(inner.loss_module) for inner in head.experts}) == 1


def test_ties_refuse_counts_of_other_classes():
    tie = dict(type='MutualDistillation', class_counts=[7])
    head = build(slots=dict(tie=tie))
    with pytest.raises(ValueError, match='MutualDistillation has 1 classes, the experts have 5'):
        head.loss(features(), samples())
