"""A slot that does nothing, or whose projections collapsed, is told once."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401
from mmlt.engine.hooks import IdleSlotHook
from mmlt.models.heads import BCE3SHead, DBMHead
from mmlt.models.slots import CompanionOutput

COUNTS = [8, 4, 4]


class FakeHub:
    def __init__(self):
        self.log_scalars = {}


def steps(head, hook, number, labels=(0, 1, 2, 0), change=None, zero=(), accumulate=1):
    """What a runner does: the loop of a training without anything else."""
    from mmengine.logging import HistoryBuffer

    runner = SimpleNamespace(
        model=SimpleNamespace(head=head), train_dataloader=range(4), max_iters=number, iter=0,
        message_hub=FakeHub(), cfg={},
        optim_wrapper=SimpleNamespace(_accumulative_counts=accumulate),
    )  # fmt: skip
    hook.before_train(runner)
    torch.manual_seed(0)
    for runner.iter in range(number):
        samples = [DataSample().set_gt_label(label) for label in labels]
        losses = head.loss((torch.rand(len(labels), 8),), samples)
        for name, value in losses.items():
            value = 0.0 if name in zero else value.item()
            runner.message_hub.log_scalars.setdefault(f'train/{name}', HistoryBuffer()).update(
                value
            )
        if change:
            change(head)
        hook.after_train_iter(runner, runner.iter)


@pytest.fixture
def told(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmlt.engine.hooks.idle_slot_hook.print_log', lambda text, *_: lines.append((text, _[1]))
    )
    return lines


def bce3s(**options):
    torch.manual_seed(0)
    return BCE3SHead(3, 8, class_counts=COUNTS, **options)


def test_slots_that_work_are_silent(told):
    steps(bce3s(), IdleSlotHook(), 16)
    steps(DBMHead(3, 8, class_counts=COUNTS), IdleSlotHook(), 16)
    assert told == []


def collapse(head):
    head.slots['contrast'].bank.data[:] = 1 + 1e-3 * torch.rand_like(head.slots['contrast'].bank)


@pytest.mark.parametrize(('head', 'lines'), [('BCLHead', 1), ('BCE3SHead', 0)])
def test_accumulation_makes_no_larger_batch_to_contrast(told, head, lines):
    torch.manual_seed(0)
    head = MODELS.build(dict(type=head, num_classes=3, in_channels=8, class_counts=COUNTS))
    steps(head, IdleSlotHook(), 1, accumulate=2)
    found = [text for text, _ in told if 'accumulated over 2 batches' in text]
    assert len(found) == lines


def test_collapsed_projections_are_told_once(told):
    steps(bce3s(), IdleSlotHook(), 30, change=collapse)
    ((text, level),) = told
    assert level == logging.WARNING
    assert 'mean pairwise cosine' in text
    assert 'lower rate' in text


def test_a_later_collapse_is_told_too(told):
    head, seen = bce3s(), []

    def late(head):
        seen.append(1)
        if len(seen) > 13:  # after the first look, in the fourth epoch
            collapse(head)

    steps(head, IdleSlotHook(), 24, change=late)
    assert 'mean pairwise cosine' in told[0][0]


class BadProjector(torch.nn.Module):
    def forward(self, features):
        return features.sum() * 0 + 1 + 1e-3 * torch.rand(len(features), 128)


def test_projections_of_a_batch_that_collapsed_are_told(told):
    from mmlt.models.heads import BCLHead

    head = BCLHead(3, 8, class_counts=COUNTS)
    steps(head, IdleSlotHook(), 16)
    assert told == []
    head.slots['contrast'].projector = BadProjector()
    steps(head, IdleSlotHook(), 16)
    ((text, _),) = told
    assert 'projections of all images of a batch are the same' in text


def test_a_preprocessor_without_effect_is_refused(told):
    own = dict(type='ClsDataPreprocessor', mean=[1, 2, 3], num_classes=9)
    given = dict(type='mmpretrain.MultiViewDataPreprocessor', mean=[1, 2, 3])
    cfg = dict(model=dict(data_preprocessor=own), data_preprocessor=given)
    runner = SimpleNamespace(
        model=SimpleNamespace(head=None), cfg=cfg, train_dataloader=range(4), max_iters=4, iter=0
    )
    said = r'\(MultiViewDataPreprocessor\) has no effect: .*\(ClsDataPreprocessor'
    with pytest.raises(ValueError, match=said):
        IdleSlotHook().before_train(runner)
    # Of the same kind, or of none: values that are lost may be meant so.
    given['type'] = 'ClsDataPreprocessor'
    IdleSlotHook().before_train(runner)
    assert told == []
    del given['type']
    given['mean'] = [4, 5, 6]
    IdleSlotHook().before_train(runner)
    ((line, _),) = told
    assert line.endswith('stands before it: mean=[1, 2, 3] for [4, 5, 6] (IdleSlotHook)')
    del cfg['model']['data_preprocessor']  # mmengine gives the model the config's
    IdleSlotHook().before_train(runner)
    assert len(told) == 1


def test_a_training_set_without_a_batch_is_refused():
    loader = torch.utils.data.DataLoader(range(3), batch_size=8, drop_last=True)
    runner = SimpleNamespace(model=SimpleNamespace(head=None), cfg={}, train_dataloader=loader,
                             max_iters=0, iter=0)  # fmt: skip
    with pytest.raises(ValueError, match='gives no batch: 3 images, batch_size 8, drop_last'):
        IdleSlotHook().before_train(runner)


def test_several_experts_under_a_head_of_one_are_refused():
    backbone = dict(type='CifarResNet', depth=20)
    backbone = MODELS.build(dict(type='MultiExpertBackbone', num_experts=2, backbone=backbone))
    runner = SimpleNamespace(cfg={}, train_dataloader=range(4), max_iters=4, iter=0)
    runner.model = SimpleNamespace(head=bce3s(), backbone=backbone)
    with pytest.raises(ValueError, match='backbone has 2 experts, but BCE3SHead sees the last'):
        IdleSlotHook().before_train(runner)
    runner.model.head = experts().head
    IdleSlotHook().before_train(runner)


def test_a_class_that_is_never_drawn(told):
    steps(bce3s(), IdleSlotHook(epochs=2), 16, labels=(0, 1, 0, 1))
    ((text, _),) = told
    assert 'has seen 2 of 3 classes' in text


def test_a_run_that_ends_before_the_bank_is_full(told):
    steps(bce3s(neck=dict(fill_epochs=9)), IdleSlotHook(), 3)
    ((text, _),) = told
    assert 'still being filled (12 of 144 images)' in text


def test_a_loss_that_is_zero(told):
    steps(bce3s(), IdleSlotHook(), 16, zero=('loss_uniform',))
    assert [text.split(':')[0] for text, _ in told] == ['loss_uniform was 0 in the last 4 steps']


def test_a_margin_that_is_never_applied(told, monkeypatch):
    head = DBMHead(3, 8, class_counts=COUNTS)
    slot = type(head.slots['joint'])
    monkeypatch.setattr(
        slot, 'logits', lambda self, layer, views, targets: tuple(map(layer, views))
    )
    steps(head, IdleSlotHook(), 16)
    assert 'the margin of slot joint was never applied' in told[0][0]


def test_a_slot_at_rest_and_a_foreign_head_are_left_alone(told):
    head = bce3s()
    collapse(head)
    head.resting = frozenset({'contrast'})
    steps(head, IdleSlotHook(), 16, change=collapse)
    assert told == []
    hook = IdleSlotHook()
    runner = SimpleNamespace(
        model=SimpleNamespace(head=None), train_dataloader=range(4), max_iters=4, iter=3, cfg={}
    )
    hook.before_train(runner)
    hook.after_train_iter(runner, 3)
    assert told == []


@pytest.mark.parametrize('options', [dict(epochs=0), dict(collapse=0), dict(collapse=1.1)])
def test_arguments(options):
    with pytest.raises(ValueError, match=f'{next(iter(options))} must be'):
        IdleSlotHook(**options)


class OfExperts:
    """A head of experts that gets the same features for each, and keys of a momentum encoder."""

    def __init__(self, head):
        self.head = head

    def __getattr__(self, name):
        return getattr(self.head, name)

    def loss(self, feats, samples):
        key = CompanionOutput({1: (torch.rand(len(samples), 8),)}, momentum=0.9)
        return self.head.loss(feats * len(self.head.experts), samples, momentum=key)


def experts(**options):
    torch.manual_seed(0)
    spec = dict(type='NCLHead', num_classes=3, in_channels=8, class_counts=COUNTS, num_hard=2,
                neck=dict(size=8))  # fmt: skip
    return OfExperts(MODELS.build(spec | options))


def test_experts_that_work_are_silent(told):
    steps(experts(), IdleSlotHook(collapse=1.0), 16)
    assert told == []


def test_a_slot_inside_an_expert_is_looked_at(told):
    cosines = dict(classifier=dict(type='CosineLinear'), margin=dict(type='DBMMargin'))
    head = experts(**cosines)

    def change(head):
        head.experts[1].slots['contrast'].queue.data[:] = 1.0

    # A margin that nobody calls, in the last expert alone.
    inner = head.head.experts[2].slots['joint']
    margin, inner.logits = inner.margin, lambda c, views, targets: tuple(map(c, views))
    steps(head, IdleSlotHook(collapse=1.0 - 1e-6), 16, change=change)
    assert margin is inner.margin
    texts = [text for text, _ in told]
    assert len(texts) == 2
    assert 'the keys of the queue are the same' in texts[0]
    assert 'the margin of slot experts.2.joint was never applied' in texts[1]


def test_a_summed_loss_of_zero_is_told_once(told):
    steps(experts(), IdleSlotHook(collapse=1.0), 16, zero=('loss_contrast', 'loss_mining'))
    assert sorted(text.split()[0] for text, _ in told) == ['loss_contrast', 'loss_mining']
