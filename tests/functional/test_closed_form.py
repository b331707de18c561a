"""Gradients by hand: those of the definitions, and of those a second time."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from mmlt.functional import dbm_logits, ldam_logits, sigmoid_pair_loss, sigmoid_uniform_loss
from mmlt.functional.linear import unit_linear
from mmlt.functional.numerics import unit_rows

N, K, D = 4, 5, 3
LABELS = torch.tensor([3, 0, 3, 1])


def draw(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def soft_labels():
    return 0.7 * F.one_hot(LABELS, K).double() + 0.3 * F.one_hot(LABELS.flip(0), K).double()


MASK = draw(N, K, seed=5) > 0
MARGIN = torch.linspace(0.9, 0.1, K, dtype=torch.float64)
COSINE = torch.tanh(draw(N, K, seed=3))
FUNCTIONS = {
    'unit rows': (unit_rows, [draw(N, D)]),
    'unit linear': (unit_linear, [draw(N, D), draw(K, D, seed=1, scale=9)]),
    'unit linear, bias': (unit_linear, [draw(N, D), draw(K, D, seed=1, scale=9), draw(K, seed=2)]),
    'cosine': (
        lambda x, w: unit_linear(x, w, unit_features=True),
        [draw(N, D), draw(K, D, seed=1, scale=9)],
    ),
    'cosine, bias': (
        lambda x, w, b: unit_linear(x, w, b, unit_features=True),
        [draw(N, D), draw(K, D, seed=1), draw(K, seed=2)],
    ),
    'sigmoid, labels': (
        lambda s: sigmoid_pair_loss(s, LABELS, reduction='none'), [draw(N, K, scale=3)]
    ),
    'sigmoid, labels, sampled': (
        lambda s: sigmoid_pair_loss(s, LABELS, negative_mask=MASK), [draw(N, K, scale=3)]
    ),
    'sigmoid, soft labels': (
        lambda s: sigmoid_pair_loss(s, soft_labels()), [draw(N, K, scale=3)]
    ),
    'sigmoid, soft labels, masked': (
        lambda s: sigmoid_pair_loss(s, soft_labels(), negative_mask=MASK[0]),
        [draw(N, K, scale=3)],
    ),
    'DBM': (lambda c: dbm_logits(c, LABELS, MARGIN, 5.0), [COSINE]),
    'DBM, past pi': (lambda c: dbm_logits(c, LABELS, MARGIN + 2, 5.0, 'all', 2.5), [COSINE]),
    'LDAM': (lambda c: ldam_logits(c, LABELS, MARGIN), [COSINE]),
    'uniform': (sigmoid_uniform_loss, [draw(K, D)]),
    'uniform, chunks': (lambda w: sigmoid_uniform_loss(w, chunk_size=2), [draw(K, D)]),
}  # fmt: skip


@pytest.mark.parametrize('name', FUNCTIONS)
def test_first_and_second_derivatives(name):
    function, tensors = FUNCTIONS[name]
    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors)


@pytest.mark.parametrize('name', FUNCTIONS)
def test_value_and_gradient_by_hand_are_those_of_the_definition(name):
    """The definition is what runs where no gradient is wanted, and under a second derivative."""
    function, tensors = FUNCTIONS[name]
    with torch.no_grad():
        wanted = function(*tensors)
    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    value = function(*tensors)
    torch.testing.assert_close(value, wanted, rtol=1e-14, atol=1e-14)
    upstream = draw(*value.shape, seed=9)
    by_hand = torch.autograd.grad(value, tensors, upstream, retain_graph=True)
    by_autograd = torch.autograd.grad(value, tensors, upstream, create_graph=True)
    for one, other in zip(by_hand, by_autograd, strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('name', ['unit linear', 'cosine', 'cosine, bias'])
def test_only_the_gradient_that_is_wanted_is_computed(name):
    function, tensors = FUNCTIONS[name]
    free = [tensor.clone().requires_grad_() for tensor in tensors]
    wanted = torch.autograd.grad(function(*free).sum(), free)
    for index in range(len(tensors)):
        alone = [t.clone().requires_grad_(i == index) for i, t in enumerate(tensors)]
        (got,) = torch.autograd.grad(function(*alone).sum(), [alone[index]])
        torch.testing.assert_close(got, wanted[index])


@pytest.mark.parametrize('length', [0.0, 1e-13])
def test_rows_of_no_length_stay_as_they_are(length):
    x, w = draw(N, D).requires_grad_(), draw(K, D, seed=1)
    w[2] *= length / w[2].norm()
    w.requires_grad_()
    product = unit_linear(x, w)
    torch.testing.assert_close(product[:, 2], (x @ w[2]), rtol=1e-12, atol=0)
    product[:, 2].sum().backward()
    torch.testing.assert_close(w.grad[2], x.detach().sum(0))
    assert not w.grad[[0, 1, 3, 4]].any()


def test_float32_is_as_near_to_float64_as_the_definition_is():
    """What is divided last must not cost digits, also where rows are long or short."""
    x, w = draw(64, 32), draw(50, 32, seed=1) * torch.logspace(-6, 6, 50).double()[:, None]
    upstream = draw(64, 50, seed=2)

    def gradients(dtype, plain):
        a, b = x.to(dtype).requires_grad_(), w.to(dtype).requires_grad_()
        value = unit_linear(a, b, unit_features=True)
        return torch.autograd.grad(value, (a, b), upstream.to(dtype), create_graph=plain)

    exact = gradients(torch.float64, plain=True)
    for index in range(2):
        scale = exact[index].norm(dim=1, keepdim=True)
        errors = [
            ((gradients(torch.float32, plain)[index] - exact[index]) / scale).abs().max()
            for plain in (False, True)
        ]
        assert errors[0] < 2 * errors[1]
        assert errors[0] < 2e-6
