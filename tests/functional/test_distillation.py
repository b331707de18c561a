"""Mutual distillation and hard classes against loops, at the extremes, and with bad input."""

import pytest
import torch
from reference import ncl

from mmlt.functional import hard_classes, mask_easy_classes, mutual_distillation

M, N, K = 3, 5, 7
LABELS = torch.tensor([0, 6, 3, 3, 1])
HALVES = [torch.float16, torch.bfloat16]


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(M, N, K, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('experts', [1, 2, 3])
def test_distillation_matches_the_loop(experts, logits):
    logits = logits[:experts]
    wanted = ncl.n6(logits.tolist(), 1.0)
    assert mutual_distillation(logits).item() == pytest.approx(wanted, rel=1e-12, abs=1e-15)
    assert (wanted > 0) == (experts > 1)


def test_equal_experts_have_nothing_to_learn(logits):
    same = logits[:1].float().repeat(3, 1, 1).requires_grad_()
    loss = mutual_distillation(same)
    loss.backward()
    assert abs(loss.item()) < 1e-9
    assert same.grad.abs().max() < 1e-9


def test_both_sides_of_a_pair_learn(logits):
    pair = logits[:2].requires_grad_()
    mutual_distillation(pair).backward()
    assert (pair.grad.abs().amax(dim=(1, 2)) > 1e-3).all()
    # To be the loss with a stop-gradient, one of the two terms of each expert would be missing.
    assert torch.autograd.gradcheck(mutual_distillation, (logits.clone().requires_grad_(),))


@pytest.mark.parametrize('mask', ['zero', 'exclude'])
@pytest.mark.parametrize('number', [1, 2, 4, K])
def test_hard_classes_and_masks_match_the_loop(number, mask, logits):
    hard = hard_classes(logits[0], LABELS, number)
    got = mask_easy_classes(logits, hard, mask)
    for i, y in enumerate(LABELS.tolist()):
        wanted = ncl.n2(logits[0, i].tolist(), y, number)
        assert set(hard[i].nonzero()[:, 0].tolist()) == wanted
        assert y in wanted
        assert len(wanted) == number
        for m in range(M):
            assert got[m, i].tolist() == ncl.n3(logits[m, i].tolist(), wanted, mask)
    wanted = ncl.n6(got.tolist(), 1.0)
    assert mutual_distillation(got).item() == pytest.approx(wanted, rel=1e-12, abs=1e-15)


def test_a_label_with_the_smallest_logit_is_hard():
    scores = torch.arange(K, dtype=torch.float).repeat(N, 1)
    scores.scatter_(1, LABELS[:, None], -1e4)
    hard = hard_classes(scores, LABELS, 3)
    assert hard.gather(1, LABELS[:, None]).all()
    assert (hard.sum(1) == 3).all()


def test_relabelling_changes_nothing(logits):
    order = torch.randperm(K, generator=torch.Generator().manual_seed(1))
    new_labels = order.argsort()[LABELS]
    hard = hard_classes(logits[0], LABELS, 3)
    assert torch.equal(hard_classes(logits[0][:, order], new_labels, 3), hard[:, order])
    torch.testing.assert_close(mutual_distillation(logits[..., order]), mutual_distillation(logits))


@pytest.mark.parametrize('mask', ['zero', 'exclude'])
def test_what_a_constant_in_all_logits_changes(mask, logits):
    hard = hard_classes(logits[0], LABELS, 3)
    values = [mutual_distillation(mask_easy_classes(logits + c, hard, mask)) for c in (0.0, 5.0)]
    close = torch.isclose(*values, rtol=1e-9)
    assert close == (mask == 'exclude')


@pytest.mark.parametrize('mask', ['zero', 'exclude'])
@pytest.mark.parametrize('dtype', [torch.float32, *HALVES])
@pytest.mark.parametrize('size', [1.0, 1e4])
def test_finite_at_the_extremes(size, dtype, mask, logits):
    values = (size * logits.sign() * logits.abs().clamp(max=1)).to(dtype).requires_grad_()
    partial = mask_easy_classes(values, hard_classes(values[0], LABELS, 3), mask)
    loss = mutual_distillation(partial) + mutual_distillation(values)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert values.grad.isfinite().all()


def test_halves_are_computed_in_float32(logits):
    half = logits.half()
    torch.testing.assert_close(
        mutual_distillation(half), mutual_distillation(half.float()), rtol=0, atol=0
    )


def test_an_empty_batch_has_loss_0():
    assert mutual_distillation(torch.zeros(3, 0, 4)) == 0


@pytest.mark.parametrize(
    ('call', 'error', 'match'),
    [
        (lambda z: mutual_distillation(z[0]), ValueError, r'logits must have shape \(M, N, K\)'),
        (lambda z: mutual_distillation(z.long()), TypeError, 'logits must be floating'),
        (lambda z: mutual_distillation(z, eps=0.0), ValueError, r'eps must be in \(0, 1\), got 0'),
        (
            lambda z: hard_classes(z[0], LABELS, K + 1),
            ValueError,
            r'num_hard must be in \[1, 7\], got 8',
        ),
        (lambda z: hard_classes(z[0], LABELS, 0), ValueError, r'\[1, 7\], got 0'),
        (lambda z: hard_classes(z[0], LABELS, 2.0), TypeError, 'an integer, got 2.0'),
        (lambda z: hard_classes(z[0], z[0], 2), ValueError, 'soft labels .* do not fit'),
        (
            lambda z: mask_easy_classes(z, z[0] > 0, 'inf'),
            ValueError,
            r"mask must be one of \('zero', 'exclude'\), got 'inf'",
        ),
        (lambda z: mask_easy_classes(z, z[0, 1:] > 0), ValueError, r'hard must have shape \(5, 7'),
    ],
)
def test_bad_input_is_refused(call, error, match, logits):
    with pytest.raises(error, match=match):
        call(logits)
