"""The projector and its memory: what is written, when, and what must leave it alone."""

import copy

import pytest
import torch
from mmengine.model import BaseModule, ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from reference import bce3s

import mmlt  # noqa: F401

K, D = 5, 6
STATE = ('bank', 'seen')


def make_neck(**options):
    torch.manual_seed(0)
    options = dict(in_channels=D, num_classes=K, out_channels=3) | options
    return MODELS.build(dict(type='MemoryBankNeck', **options))


@pytest.fixture
def written():
    neck = make_neck()
    neck.write(torch.randn(4, D), torch.tensor([0, 2, 4, 2]))
    return neck


def test_projector_is_linear_relu_linear():
    neck, features = (
        make_neck(hidden_channels=7, out_channels=2, temperature=0.5),
        torch.randn(3, D),
    )
    neck.write(torch.randn(K, D), torch.arange(K))
    parameters = [p for p in neck.parameters() if p.requires_grad]
    assert [tuple(p.shape) for p in parameters] == [(7, D), (7,), (2, 7), (2,)]
    w1, b1, w2, b2 = parameters
    projections = (features @ w1.T + b1).clamp(min=0) @ w2.T + b2
    wanted = [
        [bce3s.cosine(z, row) / 0.5 for row in neck.bank.tolist()] for z in projections.tolist()
    ]
    torch.testing.assert_close(neck.similarity(features), torch.tensor(wanted))


def test_defaults_are_the_papers():
    neck = MODELS.build(dict(type='MemoryBankNeck', in_channels=D, num_classes=K))
    assert neck.projector[0].out_features == D
    assert neck.bank.shape == (K, 128)
    assert (neck.temperature, neck.fill_samples) == (1.0, 0)


def test_the_last_sample_of_a_class_wins_and_minus_one_is_skipped():
    neck = make_neck()
    bank, filled = neck.bank.tolist(), neck.filled.tolist()
    counts = [0] * K
    for labels in ([2, -1, 2, 0], [-1, -1, -1, -1], [0, 0, 4, -1]):
        features = torch.randn(4, D)
        neck.write(features, torch.tensor(labels))
        with torch.no_grad():
            projections = neck.projector(features).tolist()
        bank, filled = bce3s.write_bank(bank, filled, projections, labels)
        counts = [n + labels.count(k) for k, n in enumerate(counts)]
        torch.testing.assert_close(neck.bank.data, torch.tensor(bank))
        assert neck.filled.tolist() == filled
        assert neck.seen.tolist() == counts


def test_a_remembered_projection_has_cosine_one_with_itself(written):
    features = torch.randn(K, D)
    written.write(features, torch.arange(K))
    torch.testing.assert_close(written.similarity(features).diagonal(), torch.ones(K))


def test_ready_after_the_samples_of_an_epoch_were_written():
    neck, ready = make_neck(class_counts=[1] * K), []
    for labels in ([0, 1], [1, -1], [0, 2]):
        neck.write(torch.randn(2, D), torch.tensor(labels))
        ready.append(neck.ready.item())
    assert ready == [0.0, 0.0, 1.0]
    assert make_neck().ready.item() == 1.0


def test_the_memory_is_state_but_no_buffer(written):
    # SyncBuffersHook and DDP take the mean of, or broadcast, whatever buffers() yields.
    assert list(written.buffers()) == []
    assert set(STATE) < set(written.state_dict())
    fresh = make_neck()
    fresh.load_state_dict(written.state_dict())
    assert torch.equal(fresh.bank, written.bank)
    assert torch.equal(fresh.seen, written.seen)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float16, torch.bfloat16])
def test_the_memory_moves_with_the_module(written, dtype):
    before = written.bank.detach().clone()
    written.to(dtype)
    assert written.bank.dtype == written.seen.dtype == dtype
    assert written.filled.tolist() == [True, False, True, False, True]
    torch.testing.assert_close(written.bank.data, before.to(dtype))
    features = torch.randn(2, D).to(dtype)
    written.write(features, torch.tensor([1, 1]))
    torch.testing.assert_close(written.bank[1], written.projector(features)[1])
    assert written.similarity(features).isfinite().all()


def test_writing_under_autocast_keeps_the_banks_dtype(written):
    with torch.autocast('cpu', torch.bfloat16):
        written.write(torch.randn(K, D), torch.arange(K))
        similarity = written.similarity(torch.randn(2, D))
    assert written.bank.dtype == torch.float32
    assert similarity.dtype == torch.float32


def test_a_projection_that_is_not_finite_is_not_remembered(written):
    # An overflow under float16 autocast costs one step; in the bank it would cost every step until
    # the class comes again.
    before, features = written.bank.detach().clone(), torch.randn(3, D)
    features[0] = torch.inf
    written.write(features, torch.tensor([0, 1, 1]))
    assert torch.equal(written.bank[0], before[0])
    torch.testing.assert_close(written.bank[1], written.projector(features)[2])
    assert written.similarity(torch.randn(2, D)).isfinite().all()


def test_gradient_flows_to_the_projector_and_the_features_only(written):
    features = torch.randn(3, D, requires_grad=True)
    similarity = written.similarity(features)
    written.write(features, torch.tensor([0, 1, 2]))  # between forward and backward, as the head
    similarity.square().sum().backward()
    assert features.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in written.projector.parameters())
    assert written.bank.grad is None
    assert written.seen.grad is None
    assert not written.bank.requires_grad


@pytest.mark.parametrize('paramwise', [None, dict(norm_decay_mult=0.0)])
def test_an_optimizer_step_with_weight_decay_leaves_the_memory(written, paramwise):
    wrapper = build_optim_wrapper(
        written,
        dict(
            optimizer=dict(type='SGD', lr=0.5, momentum=0.9, weight_decay=0.1),
            clip_grad=dict(max_norm=1.0),
            paramwise_cfg=paramwise,
        ),
    )
    before = copy.deepcopy(written.state_dict())
    wrapper.update_params(written.similarity(torch.randn(3, D)).square().sum())
    after = written.state_dict()
    assert {name for name in before if torch.equal(before[name], after[name])} == set(STATE)


@pytest.mark.parametrize('update_buffers', [True, False])
def test_moving_average_model(written, update_buffers):
    average = ExponentialMovingAverage(written, momentum=0.5, update_buffers=update_buffers)
    average.update_parameters(written)
    first = written.bank.detach().clone()
    written.write(torch.randn(K, D), torch.arange(K))
    average.update_parameters(written)
    torch.testing.assert_close(average.module.bank.data, (first + written.bank.data) / 2)
    assert average.module.filled.all()
    assert average.module.similarity(torch.randn(2, D)).isfinite().all()
    assert torch.equal(average.module.state_dict()['seen'], average.module.seen)


def test_init_weights_keeps_the_memory_empty():
    neck = make_neck(init_cfg=dict(type='Constant', layer='Linear', val=0.25, bias=0.5))
    assert isinstance(neck, BaseModule)
    neck.init_weights()
    assert all((p == 0.25).all() or (p == 0.5).all() for p in neck.projector.parameters())
    assert not neck.filled.any()
    assert not neck.bank.any()


@pytest.mark.parametrize('temperature', [0, -1.0, float('nan')])
def test_bad_temperature_is_refused(temperature):
    with pytest.raises(ValueError, match=f'temperature must be positive, got {temperature}'):
        make_neck(temperature=temperature)


def test_bad_labels_are_refused(written):
    with pytest.raises(TypeError, match='labels must be int64'):
        written.write(torch.randn(2, D), torch.tensor([0.0, 1.0]))


def make_head(**options):
    return MODELS.build(
        dict(type='TripartiteHead', num_classes=K, in_channels=D, contrast='sigmoid', **options)
    )


def test_contrast_rests_until_an_epoch_of_samples_was_written():
    head = make_head(class_counts=[2, 1, 1, 1, 1])  # 6 images in batches of 4
    samples = [DataSample().set_gt_label(k) for k in (2, 0, 2, 4)]
    seen = []
    for _ in range(3):
        loss = head.loss((torch.randn(4, D),), samples)['loss_contrast']
        gradients = torch.autograd.grad(loss, list(head.slots['contrast'].projector.parameters()))
        seen.append((loss.item() > 0, any(g.abs().sum() > 0 for g in gradients)))
    assert seen == [(False, False), (False, False), (True, True)]


@pytest.mark.parametrize(
    ('options', 'wanted'),
    [
        (dict(class_counts=[4, 7, 9, 3, 1]), 24),
        (dict(class_counts=[4, 7, 9, 3, 1], neck=dict(fill_epochs=2)), 48),
        (dict(class_counts=[4, 7, 9, 3, 1], neck=dict(fill_epochs=0)), 0),
        (dict(), 0),
    ],
)
def test_length_of_the_heads_fill_phase(options, wanted):
    assert make_head(**options).slots['contrast'].fill_samples == wanted


@pytest.mark.parametrize('neck', [None, dict(out_channels=7), dict(type='MemoryBankNeck')])
def test_the_presets_temperature_holds_whatever_else_the_neck_is_given(neck):
    options = {} if neck is None else dict(neck=neck)
    config = dict(type='BCE3SHead', num_classes=K, in_channels=D, temperature=0.2)
    assert MODELS.build(config | options).slots['contrast'].temperature == 0.2
