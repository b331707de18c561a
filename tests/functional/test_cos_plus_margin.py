"""The cosine of an angle and a margin, without the angle."""

import math

import pytest
import torch
import torch.nn.functional as F
from reference import dbm

from mmlt.functional import cos_plus_margin

HALVES = [torch.float16, torch.bfloat16]


def slope(cosine, margin):
    cosine = cosine.detach().requires_grad_()
    value = cos_plus_margin(cosine, margin)
    return value.detach(), torch.autograd.grad(value.sum(), cosine)[0]


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, *HALVES])
def test_cos_plus_margin_is_the_cosine_of_the_angle(dtype):
    below = 1 - torch.finfo(dtype).eps / 2  # the last number below 1
    cosine = torch.cat([torch.linspace(-1, 1, 41), torch.tensor([0.9999, below, -below])])
    cosine = cosine.to(dtype) if dtype != torch.float64 else cosine.double()
    for margin in (0.0, 1e-4, 0.1, 0.5, 1.5, 3.0, math.pi, 4.0):
        got = cos_plus_margin(cosine, margin)
        angles = [dbm.angles([c]) for c in cosine.tolist()]
        wanted = torch.tensor([dbm.arcface(a, 0, margin) for a in angles], dtype=torch.float64)
        assert got.dtype == (dtype if dtype == torch.float64 else torch.float32)
        eps = torch.finfo(got.dtype).eps
        torch.testing.assert_close(got.double(), wanted, rtol=0, atol=4 * eps)


@pytest.mark.parametrize('margin', [0.0, 1e-4, 2.2e-4, 0.1, 0.5, 1.5, 3.0, math.pi, 4.0])
def test_a_worse_angle_never_has_a_better_logit(margin):
    last = torch.tensor([1.0]).nextafter(torch.tensor([0.0]))
    cosine = torch.cat([-torch.ones(1), -last, torch.linspace(-0.9999, 0.9999, 999), last])
    value, gradient = slope(cosine, margin)
    assert (value.diff() >= -2e-7).all()
    assert (gradient >= -1e-3).all()
    # As if the angle went on: never the value of an angle past pi on its way up.
    assert (value <= torch.cos((cosine.acos() + margin).clamp(max=math.pi)) + 2e-7).all()


def test_past_pi_a_sample_is_still_pulled():
    cosine = torch.linspace(-1, -math.cos(1.0) - 1e-3, 50, dtype=torch.float64)
    value, gradient = slope(cosine, 1.0)
    torch.testing.assert_close(gradient, torch.ones_like(cosine))
    assert (value <= -1).all()
    assert value[0] == pytest.approx(math.cos(1.0) - 2)
    edge = torch.tensor([-math.cos(1.0)], dtype=torch.float64)
    before, after = (cos_plus_margin(edge + d, 1.0).item() for d in (1e-9, -1e-9))
    assert before == pytest.approx(-1, abs=1e-8)
    assert after == pytest.approx(-1, abs=1e-8)


@pytest.mark.parametrize(('dtype', 'bound'), [(torch.float32, 8192), (torch.float16, 91)])
def test_the_slope_at_one_is_bounded(dtype, bound):
    cosine = torch.tensor([1.0, 1 - torch.finfo(dtype).eps / 2]).to(dtype)
    value, gradient = slope(cosine, 0.5)
    assert value[0] == pytest.approx(math.cos(0.5))
    assert (gradient > 0).all()
    assert (gradient <= 1 + bound * math.sin(0.5)).all()
    theta = math.acos(cosine[1].item())
    assert gradient[1] == pytest.approx(math.sin(theta + 0.5) / math.sin(theta), rel=1e-3)


def test_the_gradient_in_the_features_is_bounded_by_the_margin():
    # |d cos / d x| = sin(theta) / |x| takes the steep slope back.
    class_vector = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for theta in (1e-3, 1e-2, 0.1, 1.0, 2.0, 3.0):
        x = torch.tensor([math.cos(theta), math.sin(theta)], dtype=torch.float64)
        x.requires_grad_()
        value = cos_plus_margin(F.normalize(x, dim=0) @ class_vector, 0.1)
        (gradient,) = torch.autograd.grad(value, x)
        assert gradient.norm().item() == pytest.approx(math.sin(theta + 0.1), rel=1e-6)


@pytest.mark.parametrize('margin', [0.0, 1e-4, 0.5, math.pi])
def test_a_cosine_beyond_one_counts_as_one(margin):
    beyond, limit = torch.tensor([1 + 1e-6, -1 - 1e-6, 1.01]), torch.tensor([1.0, -1.0, 1.0])
    for got, wanted in zip(slope(beyond, margin), slope(limit, margin)):
        assert torch.equal(got, wanted)
        assert got.isfinite().all()
    if margin == 0:
        assert got.tolist() == [1, 1, 1]


def test_gradcheck_of_both_arguments():
    cosine = torch.linspace(-0.98, 0.98, 15, dtype=torch.float64)
    margin = torch.linspace(0.05, 2.5, 15, dtype=torch.float64).roll(4)
    past = cosine.acos() + margin > math.pi
    assert 0 < past.sum() < len(past)
    torch.autograd.gradcheck(cos_plus_margin, (cosine.requires_grad_(), margin.requires_grad_()))


def test_integer_cosines_are_refused():
    with pytest.raises(TypeError, match='cosine must be floating, got torch.int64'):
        cos_plus_margin(torch.zeros(2).long(), 0.1)
