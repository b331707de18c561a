"""Sigmoid and softmax pair losses."""

import math

import pytest
import torch
import torch.nn.functional as F
from reference import bce3s

from mmlt.functional import sample_negatives, sigmoid_pair_loss, softmax_pair_loss

LOSSES = [sigmoid_pair_loss, softmax_pair_loss]
HARD = {sigmoid_pair_loss: bce3s.eq_3, softmax_pair_loss: bce3s.eq_22}
SOFT = {sigmoid_pair_loss: bce3s.eq_3_soft, softmax_pair_loss: bce3s.eq_22_soft}
HALVES = [torch.float16, torch.bfloat16]
N, K = 6, 5


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    similarity = 4 * torch.randn(N, K, generator=generator, dtype=torch.float64)
    labels = torch.randint(K, (N,), generator=generator)
    soft = F.one_hot(labels, K) * 0.7 + F.one_hot(labels.roll(1), K) * 0.3
    mask = torch.rand(N, K, generator=generator) < 0.5
    return similarity, labels, soft.double(), mask


def reference(loss, similarity, target, mask, **options):
    rows = HARD[loss] if target.ndim == 1 else SOFT[loss]
    kept = [None] * len(similarity) if mask is None else mask.expand_as(similarity).tolist()
    triples = zip(similarity.tolist(), target.tolist(), kept)
    return torch.tensor([rows(s, t, m, **options) for s, t, m in triples], dtype=torch.float64)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, *HALVES])
@pytest.mark.parametrize('masked', ['none', 'per sample', 'per batch'])
@pytest.mark.parametrize('kind', ['hard', 'soft'])
@pytest.mark.parametrize('loss', LOSSES)
def test_matches_the_loop(loss, kind, masked, dtype, batch):
    similarity, labels, soft, mask = batch
    target = labels if kind == 'hard' else soft
    mask = {'none': None, 'per sample': mask, 'per batch': mask[0]}[masked]
    similarity = similarity.to(dtype)
    got = loss(similarity, target, negative_mask=mask, reduction='none')
    # Half inputs are exact in float32, so they owe no more than float32 does.
    wanted_dtype = torch.float32 if dtype in HALVES else dtype
    wanted = reference(loss, similarity.double(), target, mask)
    torch.testing.assert_close(got, wanted.to(wanted_dtype))


@pytest.mark.parametrize('masked', [False, True])
def test_soft_negatives_match_the_loop(masked, batch):
    similarity, _, soft, mask = batch
    mask = mask if masked else None
    got = sigmoid_pair_loss(
        similarity, soft, negative_mask=mask, soft_negatives=True, reduction='none'
    )
    wanted = reference(sigmoid_pair_loss, similarity, soft, mask, soft_negatives=True)
    torch.testing.assert_close(got, wanted)


def test_soft_negatives_are_torchs_binary_cross_entropy(batch):
    similarity, _, soft, _ = batch
    got = sigmoid_pair_loss(similarity, soft, soft_negatives=True, reduction='sum')
    wanted = F.binary_cross_entropy_with_logits(similarity, soft, reduction='sum')
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize('loss', LOSSES)
def test_reductions_agree(loss, batch):
    similarity, labels, _, _ = batch
    weight = torch.linspace(0, 3, N)
    single = loss(similarity, labels, reduction='none')
    rows = loss(similarity, labels, weight=weight, reduction='none')
    torch.testing.assert_close(rows, single * weight)
    torch.testing.assert_close(loss(similarity, labels, weight=weight, reduction='sum'), rows.sum())
    # Over N, not over the sum of the weights.
    torch.testing.assert_close(loss(similarity, labels, weight=weight), rows.sum() / N)
    torch.testing.assert_close(loss(similarity, labels), single.mean())


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('kind', ['hard', 'soft'])
def test_relabelling_the_classes_changes_nothing(kind, loss, batch):
    similarity, labels, soft, mask = batch
    order = torch.tensor([3, 0, 4, 1, 2])
    before = labels if kind == 'hard' else soft
    after = order.argsort()[labels] if kind == 'hard' else soft[:, order]
    torch.testing.assert_close(
        loss(similarity[:, order], after, negative_mask=mask[:, order]),
        loss(similarity, before, negative_mask=mask),
    )


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('kind', ['hard', 'soft'])
@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, *HALVES])
def test_extreme_similarities_stay_finite(dtype, autocast, kind, loss, batch):
    _, labels, soft, mask = batch
    extremes = torch.tensor([1e4, -1e4, 0.0, 64.0, -64.0])
    similarity = torch.stack([extremes.roll(i) for i in range(N)]).to(dtype).requires_grad_()
    target = labels if kind == 'hard' else soft
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        got = loss(similarity, target, negative_mask=mask, reduction='none')
    got.sum().backward()
    assert got.dtype == torch.float32
    torch.testing.assert_close(
        got, reference(loss, similarity.detach().double(), target, mask).float()
    )
    assert similarity.grad.isfinite().all()
    assert similarity.grad.abs().max() <= 1  # every term is 1-Lipschitz, target weights included


def test_a_wrong_confident_pair_keeps_its_full_gradient():
    similarity = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    sigmoid_pair_loss(similarity, torch.tensor([0])).backward()
    assert similarity.grad.tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize('x', [19.9, 20.1, 36.0, 39.9, 40.1, 80.0])
def test_no_digit_is_lost_at_a_threshold(x):
    similarity = torch.tensor([[x, -x]], dtype=torch.float64)
    right = sigmoid_pair_loss(similarity, torch.tensor([0])).item()
    wrong = sigmoid_pair_loss(similarity, torch.tensor([1])).item()
    assert right == pytest.approx(2 * math.log1p(math.exp(-x)), rel=1e-15)
    assert wrong == pytest.approx(2 * (x + math.log1p(math.exp(-x))), rel=2e-16)


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('kind', ['hard', 'soft'])
def test_gradcheck(kind, loss, batch):
    similarity, labels, soft, mask = batch
    target = labels if kind == 'hard' else soft
    weight = torch.linspace(0.5, 2, N, dtype=torch.float64)
    torch.autograd.gradcheck(
        lambda s: loss(s, target, negative_mask=mask, weight=weight), similarity.requires_grad_()
    )


@pytest.mark.parametrize('loss', LOSSES)
def test_positives_are_never_dropped(loss, batch):
    similarity, labels, soft, _ = batch
    nothing = torch.zeros(K, dtype=torch.bool)
    hard = loss(similarity, labels, negative_mask=nothing, reduction='none')
    positive = similarity.gather(1, labels[:, None]).squeeze(1)
    wanted = -F.logsigmoid(positive) if loss is sigmoid_pair_loss else torch.zeros(N)
    torch.testing.assert_close(hard, wanted.to(hard))
    mixed = loss(similarity, soft, negative_mask=nothing)
    torch.testing.assert_close(mixed, reference(loss, similarity, soft, nothing).mean())


@pytest.mark.parametrize('loss', LOSSES)
def test_dropped_pairs_are_out_of_reach(loss):
    similarity = torch.tensor([[1.0, math.nan, 2.0]], requires_grad=True)
    mask = torch.tensor([True, False, True])
    value = loss(similarity, torch.tensor([0]), negative_mask=mask)
    value.backward()
    assert value.isfinite()
    assert similarity.grad.isfinite().all()
    assert similarity.grad[0, 1] == 0


@pytest.mark.parametrize('loss', LOSSES)
def test_a_row_with_nothing_in_it_is_zero(loss):
    similarity = torch.tensor([[3.0, -2.0], [1.0, 0.0]], requires_grad=True)
    target = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    rows = loss(
        similarity, target, negative_mask=torch.zeros(2, 2, dtype=torch.bool), reduction='none'
    )
    rows.sum().backward()
    assert rows[0] == 0
    assert similarity.grad[0].tolist() == [0, 0]
    assert similarity.grad.isfinite().all()


@pytest.mark.parametrize('loss', LOSSES)
def test_empty_batch_and_single_class(loss):
    empty = loss(torch.zeros(0, 3, requires_grad=True), torch.zeros(0, dtype=torch.int64))
    empty.backward()
    assert empty == 0
    single = loss(torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
    assert single == pytest.approx(math.log(2) if loss is sigmoid_pair_loss else 0)


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        ({'similarity': torch.zeros(3)}, ValueError, r'similarity must have shape \(N, K\), got'),
        ({'similarity': torch.zeros(2, 3).long()}, TypeError, 'similarity must be floating, got'),
        ({'target': torch.zeros(2, 4)}, ValueError, r'target .*\(2, 3\) for soft.*got \(2, 4\)'),
        ({'target': torch.zeros(3).long()}, ValueError, r'target .*\(2,\) for class.*got \(3,\)'),
        ({'target': torch.zeros(2)}, TypeError, 'target .* int64 class labels, got torch.float32'),
        ({'target': torch.zeros(2, 3).long()}, TypeError, 'target .* floating soft labels, got'),
        ({'negative_mask': torch.ones(2, 3)}, TypeError, 'negative_mask must be bool, got'),
        ({'negative_mask': torch.ones(2).bool()}, ValueError, r'negative_mask .*got \(2,\)'),
        ({'weight': torch.ones(3)}, ValueError, r'weight must have shape \(2,\), got \(3,\)'),
        ({'reduction': 'avg'}, ValueError, "reduction must be one of .*, got 'avg'"),
    ],
)
def test_bad_input_names_the_argument(changes, error, message, loss):
    arguments = {'similarity': torch.zeros(2, 3), 'target': torch.zeros(2).long(), **changes}
    with pytest.raises(error, match=message):
        loss(arguments.pop('similarity'), arguments.pop('target'), **arguments)


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('per', ['sample', 'batch'])
def test_nothing_waits_for_the_device(per, loss):
    # Meta tensors hold no values: whatever reads one on the host, as a GPU sync does, raises.
    similarity = torch.zeros(2, 3, device='meta', requires_grad=True)
    for target in (torch.zeros(2, dtype=torch.int64, device='meta'), torch.zeros_like(similarity)):
        mask = sample_negatives(target, 3, 0.5, per=per)
        loss(similarity, target, negative_mask=mask, weight=similarity[:, 0]).backward()
    assert similarity.grad.is_meta
