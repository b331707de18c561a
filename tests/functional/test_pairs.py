"""Sigmoid and softmax pair losses, and the sampling of negatives."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
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


@pytest.mark.parametrize('options', [{}, {'soft_negatives': True}])
def test_one_hot_targets_equal_hard_ones(options, batch):
    similarity, labels, _, mask = batch
    one_hot = F.one_hot(labels, K).float()
    hard = sigmoid_pair_loss(similarity, labels, negative_mask=mask, **options)
    soft = sigmoid_pair_loss(similarity, one_hot, negative_mask=mask, **options)
    torch.testing.assert_close(hard, soft)


@pytest.mark.parametrize('loss', LOSSES)
def test_reductions_agree(loss, batch):
    similarity, labels, _, _ = batch
    weight = torch.linspace(0, 2, N)
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
    assert (loss(similarity, soft, negative_mask=nothing, reduction='none') > 0).all()


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


@given(
    labels=st.lists(st.integers(0, 11), min_size=0, max_size=20),
    ratio=st.floats(0.01, 1),
    seed=st.integers(0, 99),
)
def test_sampling_never_drops_a_positive(labels, ratio, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor(labels, dtype=torch.int64)
    kept = sample_negatives(labels, 12, ratio, per='batch', generator=generator)
    assert kept[labels].all()
    assert kept.sum() == max(int(12 * ratio), len(set(labels.tolist())))
    kept = sample_negatives(labels, 12, ratio, generator=generator)
    assert kept.shape == (len(labels), 12)
    assert kept[torch.arange(len(labels)), labels].all()
    assert ratio < 1 or kept.all()


def test_sampled_share_of_the_negatives_is_the_ratio():
    labels, generator = torch.zeros(4000, dtype=torch.int64), torch.Generator().manual_seed(0)
    kept = sample_negatives(labels, 6, 0.4, generator=generator)[:, 1:]
    batches = [sample_negatives(labels, 6, 0.5, 'batch', generator)[1:] for _ in range(4000)]
    for share, wanted in [(kept.double(), 0.4), (torch.stack(batches).double(), 2 / 5)]:
        four_sigma = 4 * math.sqrt(wanted * (1 - wanted) / 4000)
        assert (share.mean(dim=0) - wanted).abs().max() < four_sigma


@pytest.mark.parametrize('per', ['sample', 'batch'])
def test_soft_labels_keep_every_class_with_mass(per):
    soft = torch.tensor([[0.3, 0.7, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    kept = sample_negatives(soft, 4, 0.01, per=per, generator=torch.Generator().manual_seed(0))
    wanted = soft > 0
    assert kept.tolist() == (wanted if per == 'sample' else wanted.any(dim=0)).tolist()


def test_sampling_refuses_bad_arguments():
    labels = torch.tensor([0, 1])
    for ratio in (0, -0.1, 1.01, math.nan):
        with pytest.raises(ValueError, match=r'ratio must be in \(0, 1\], got'):
            sample_negatives(labels, 3, ratio)
    with pytest.raises(ValueError, match="per must be 'sample' or 'batch', got 'epoch'"):
        sample_negatives(labels, 3, 0.5, per='epoch')
    with pytest.raises(ValueError, match=r'labels must have shape .*\(2, 3\) .*got \(2, 4\)'):
        sample_negatives(torch.zeros(2, 4), 3, 0.5)
    with pytest.raises(TypeError, match='labels .* int64 class labels, got torch.int32'):
        sample_negatives(labels.int(), 3, 0.5)
