"""Uniform losses over the classifier vectors, and the whole BCE3S and CE3S losses."""

import math

import pytest
import torch
from reference import bce3s
from torch.utils._python_dispatch import TorchDispatchMode

from mmlt.functional import (
    bank_similarity,
    sigmoid_pair_loss,
    sigmoid_uniform_loss,
    softmax_pair_loss,
    softmax_uniform_loss,
)
from mmlt.models.losses import SigmoidUniformLoss

HALVES = [torch.float16, torch.bfloat16]
LOSSES = [sigmoid_uniform_loss, softmax_uniform_loss]


@pytest.fixture
def weight():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([0.1, 1, 2, 5, 9, 1, 1])[:, None]
    return lengths * torch.randn(7, 4, generator=generator, dtype=torch.float64)


def reference(loss, weight):
    rows = weight.double().tolist()
    if loss is softmax_uniform_loss:
        values = [bce3s.eq_24(rows, k) for k in range(len(rows))]
    else:
        values = [bce3s.eq_5(rows, k, with_self=False) for k in range(len(rows))]
    return torch.tensor(math.fsum(values) / len(values), dtype=torch.float64)


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, *HALVES])
def test_matches_the_loop(dtype, autocast, loss, weight):
    weight = weight.to(dtype)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        got = loss(weight)
    wanted_dtype = torch.float32 if dtype in HALVES else dtype
    torch.testing.assert_close(got, reference(loss, weight).to(wanted_dtype))


def test_the_self_pair_is_equation_5_in_full(weight):
    rows = weight.tolist()
    wanted = math.fsum(bce3s.eq_5(rows, k) for k in range(7)) / 7
    assert sigmoid_uniform_loss(weight, include_self=True).item() == pytest.approx(
        wanted, rel=1e-14
    )


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('chunk_size', [1, 2, 3, 6, 7, 100])
@pytest.mark.parametrize('loss', LOSSES)
def test_chunks_change_neither_value_nor_gradient(loss, chunk_size, autocast, weight):
    whole, parts = (weight.clone().requires_grad_() for _ in range(2))
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        at_once, chunked = loss(whole), loss(parts, chunk_size=chunk_size)
    at_once.backward()
    chunked.backward()
    torch.testing.assert_close(chunked, at_once)
    torch.testing.assert_close(parts.grad, whole.grad)


@pytest.mark.parametrize('loss', LOSSES)
def test_chunks_keep_no_gram_matrix_for_the_backward_pass(loss):
    weight = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def largest_saved(**options):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x: sizes.append(x.numel()) or x, lambda x: x
        ):
            loss(weight, **options)
        return max(sizes)

    # The sigmoid form has its gradient when the forward pass ends, and keeps that alone.
    whole = weight.numel() if loss is sigmoid_uniform_loss else 64 * 64
    assert largest_saved() == whole
    assert largest_saved(chunk_size=8) <= weight.numel()


@pytest.mark.parametrize('loss', LOSSES)
def test_chunks_bound_the_memory_of_forward_and_backward(loss):
    # Every tensor that an operation makes, in the backward pass too: none is larger than a chunk.
    class Sizes(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                self.largest = max(self.largest, result.numel())
            return result

    weight = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for chunk_size, largest in ((None, 64 * 64), (8, 8 * 64)):
        with Sizes() as sizes:
            loss(weight, chunk_size=chunk_size).backward()
        assert sizes.largest == largest


@pytest.mark.parametrize('sample_size', [2, 3, 6])
def test_a_sample_of_the_rows_is_unbiased(sample_size, weight):
    """The mean over all possible draws is the loss of all rows, in value and gradient."""
    whole = weight.clone().requires_grad_()
    sigmoid_uniform_loss(whole).backward()
    found, generator = {}, torch.Generator()
    for seed in range(400):  # until every choice of rows has come
        part = weight.clone().requires_grad_()
        value = sigmoid_uniform_loss(
            part, sample_size=sample_size, generator=generator.manual_seed(seed)
        )
        value.backward()
        rows = part.grad.abs().sum(1).nonzero().flatten().tolist()
        found[tuple(rows)] = value.detach(), part.grad
    assert len(found) == math.comb(7, sample_size)
    values, gradients = (torch.stack(list(part)) for part in zip(*found.values(), strict=True))
    torch.testing.assert_close(values.mean(), sigmoid_uniform_loss(weight))
    torch.testing.assert_close(gradients.mean(0), whole.grad)


def test_the_rows_are_drawn_anew_and_by_the_generator(weight):
    generator = torch.Generator()
    draws = [
        sigmoid_uniform_loss(weight, sample_size=3, generator=generator.manual_seed(seed)).item()
        for seed in (1, 2, 3, 1)
    ]
    assert draws[0] == draws[3]
    assert len(set(draws)) == 3
    assert sigmoid_uniform_loss(weight, sample_size=7) == sigmoid_uniform_loss(weight)
    with pytest.raises(ValueError, match='sample_size must be >= 2, got 1'):
        sigmoid_uniform_loss(weight, sample_size=1)


def test_the_criterion_samples_in_training_only(weight):
    criterion = SigmoidUniformLoss(sample_size=3, loss_weight=2.0)
    torch.manual_seed(0)
    drawn = {criterion(weight).item() for _ in range(9)}
    assert len(drawn) > 3
    torch.testing.assert_close(criterion.eval()(weight), 2 * sigmoid_uniform_loss(weight))
    with pytest.raises(ValueError, match='sample_size must be >= 2, got 0'):
        SigmoidUniformLoss(sample_size=0)


def test_the_self_pair_is_constant_in_chunks_too(weight):
    whole = sigmoid_uniform_loss(weight, include_self=True)
    torch.testing.assert_close(sigmoid_uniform_loss(weight, include_self=True, chunk_size=3), whole)


@pytest.mark.parametrize('loss', LOSSES)
def test_relabelling_the_classes_changes_nothing(loss, weight):
    order = torch.tensor([2, 6, 0, 5, 1, 4, 3])
    torch.testing.assert_close(loss(weight[order]), loss(weight))


@pytest.mark.parametrize('loss', LOSSES)
def test_lengths_do_not_matter_and_get_no_gradient(loss, weight):
    scaled = (weight * torch.logspace(-3, 3, 7, dtype=torch.float64)[:, None]).requires_grad_()
    value = loss(scaled)
    value.backward()
    torch.testing.assert_close(value, loss(weight))
    radial = (scaled.grad * scaled.detach()).sum(dim=1)
    torch.testing.assert_close(radial, torch.zeros_like(radial))


@pytest.mark.parametrize('num_classes', [2, 3, 10, 50])
@pytest.mark.parametrize('loss', LOSSES)
def test_a_simplex_etf_is_a_minimum(loss, num_classes):
    etf = torch.tensor(bce3s.simplex_etf(num_classes), dtype=torch.float64, requires_grad=True)
    cosine = -1 / (num_classes - 1)  # eq. 20
    if loss is sigmoid_uniform_loss:
        wanted = (num_classes - 1) * bce3s.softplus(cosine)
    else:
        wanted = math.log(math.e + (num_classes - 1) * math.exp(cosine)) - 1
    value = loss(etf)
    value.backward()
    assert value.item() == pytest.approx(wanted, rel=1e-14)
    torch.testing.assert_close(etf.grad, torch.zeros_like(etf))
    generator = torch.Generator().manual_seed(0)
    for size in (1e-3, 0.1, 1.0):
        step = torch.randn(etf.shape, generator=generator, dtype=torch.float64)
        assert loss(etf.detach() + size * step) > value


@pytest.mark.parametrize('loss', LOSSES)
def test_gradcheck(loss, weight):
    torch.autograd.gradcheck(loss, weight.requires_grad_())


@pytest.mark.parametrize('loss', LOSSES)
def test_gradcheck_in_chunks(loss, weight):
    torch.autograd.gradcheck(lambda w: loss(w, chunk_size=3), weight.requires_grad_())


@pytest.mark.parametrize('dtype', [torch.float32, *HALVES])
@pytest.mark.parametrize('loss', LOSSES)
def test_extremes_have_finite_gradients(loss, dtype):
    row = torch.tensor([0.6, -0.8])
    weight = torch.stack([row, row, -row, torch.zeros(2), 1e4 * row]).to(dtype).requires_grad_()
    value = loss(weight)
    value.backward()
    torch.testing.assert_close(value.item(), expected_extreme(loss), rtol=1e-6, atol=0)
    assert weight.grad.isfinite().all()
    assert weight.grad.abs().max() <= 10  # a zero row must not see 1 / eps


def expected_extreme(loss):
    up, down, flat = (3, -1, 0)  # how many unit cosines: rows 0, 1 and 4 agree, row 2 is opposite
    agree, oppose, right = bce3s.softplus(1), bce3s.softplus(-1), bce3s.softplus(flat)
    if loss is sigmoid_uniform_loss:
        like = (up - 1) * agree + oppose + right
        return (3 * like + (up * oppose + right) + 4 * right) / 5
    like = math.log(up * math.e + math.exp(down) + 1) - 1
    opposite = math.log(math.e + up * math.exp(down) + 1) - 1
    return (3 * like + opposite + math.log(5)) / 5  # the zero row has no e in its numerator


@pytest.mark.parametrize('loss', LOSSES)
def test_a_single_class_has_nothing_to_repel(loss):
    weight = torch.ones(1, 3, requires_grad=True)
    value = loss(weight)
    value.backward()
    assert value == 0
    assert weight.grad.tolist() == [[0, 0, 0]]


def test_a_single_class_keeps_its_self_pair():
    value = sigmoid_uniform_loss(torch.ones(1, 3), include_self=True)
    assert value.item() == pytest.approx(bce3s.softplus(-1), rel=1e-6)


@pytest.mark.parametrize('loss', LOSSES)
def test_bad_weight_is_refused(loss):
    with pytest.raises(ValueError, match=r'weight must have shape \(K, D\) .*got \(3,\)'):
        loss(torch.ones(3))
    with pytest.raises(ValueError, match=r'weight must have shape \(K, D\) .*got \(0, 3\)'):
        loss(torch.ones(0, 3))
    with pytest.raises(TypeError, match='weight must be floating, got torch.int64'):
        loss(torch.ones(2, 3, dtype=torch.int64))


@pytest.mark.parametrize('chunk_size', [0, -1, 2.0, True])
@pytest.mark.parametrize('loss', LOSSES)
def test_bad_chunk_size_is_refused(loss, chunk_size):
    with pytest.raises(ValueError, match='chunk_size must be a positive .*got'):
        loss(torch.ones(2, 3), chunk_size=chunk_size)


@pytest.mark.parametrize(
    ('pair_loss', 'uniform_loss', 'equation'),
    [
        (sigmoid_pair_loss, lambda w: sigmoid_uniform_loss(w, include_self=True), bce3s.eq_6),
        (softmax_pair_loss, softmax_uniform_loss, bce3s.eq_25),
    ],
)
def test_the_three_slots_add_up_to_equations_6_and_25(pair_loss, uniform_loss, equation, weight):
    generator = torch.Generator().manual_seed(1)
    logits, projections, bank = (
        torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        for rows, columns in [(5, 7), (5, 3), (7, 3)]
    )
    labels = torch.tensor([0, 6, 6, 2, 3])
    joint = pair_loss(logits, labels)
    contrast = pair_loss(bank_similarity(projections, bank, 0.5), labels)
    got = joint + 0.1 * contrast + 1.25 * uniform_loss(weight)
    lists = [x.tolist() for x in (logits, projections, labels, bank, weight)]
    assert got.item() == pytest.approx(equation(*lists, 0.5, 0.1, 1.25), rel=1e-14)
