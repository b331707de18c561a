"""The bank of remembered projections: similarity to it, and writing it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import bce3s
from torch.utils._python_dispatch import TorchDispatchMode

from mmlt.functional import bank_similarity, sigmoid_pair_loss, softmax_pair_loss, write_bank

HALVES = [torch.float16, torch.bfloat16]


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(11, 7, generator=generator, dtype=torch.float64)
    return draw[:6], 3 * draw[6:]


def loop(projections, bank, temperature):
    rows = [[bce3s.cosine(z, m) / temperature for m in bank.tolist()] for z in projections.tolist()]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, *HALVES])
def test_similarity_matches_the_loop(dtype, autocast, pair):
    projections, bank = (x.to(dtype) for x in pair)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        got = bank_similarity(projections, bank, 0.1)
    wanted_dtype = torch.float32 if dtype in HALVES else dtype
    wanted = loop(projections.double(), bank.double(), 0.1)
    torch.testing.assert_close(got, wanted.to(wanted_dtype))


def test_mixed_dtypes_meet_in_the_wider_one(pair):
    projections, bank = pair
    got = bank_similarity(projections.bfloat16(), bank, 1.0)
    torch.testing.assert_close(got, loop(projections.bfloat16().double(), bank, 1.0))
    assert bank_similarity(projections.half(), bank.float(), 1.0).dtype == torch.float32


@pytest.mark.parametrize('temperature', [1.0, 0.07])
def test_pair_losses_on_the_bank_are_equations_4_and_23(temperature, pair):
    projections, bank = pair
    labels = torch.tensor([4, 0, 0, 2, 1, 3])
    similarity = bank_similarity(projections, bank, temperature)
    for loss, equation in [(sigmoid_pair_loss, bce3s.eq_4), (softmax_pair_loss, bce3s.eq_23)]:
        triples = zip(projections.tolist(), labels.tolist())
        wanted = [equation(z, bank.tolist(), k, temperature) for z, k in triples]
        got = loss(similarity, labels, reduction='none')
        torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64))


def test_length_does_not_matter(pair):
    projections, bank = pair
    lengths = torch.logspace(-3, 6, 6, dtype=torch.float64)[:, None]
    got = bank_similarity(projections * lengths, 1e4 * bank, 0.5)
    torch.testing.assert_close(got, bank_similarity(projections, bank, 0.5))


@pytest.mark.parametrize('dtype', [torch.float32, *HALVES])
def test_extremes_have_finite_gradients(dtype):
    row = torch.tensor([0.6, -0.8, 0.0])
    projections = torch.stack([row, -row, torch.zeros(3)]).to(dtype).requires_grad_()
    bank = torch.stack([row, torch.zeros(3)]).to(dtype).requires_grad_()
    similarity = bank_similarity(projections, bank, 0.01)
    wanted = torch.tensor([[100.0, 0.0], [-100.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(similarity, wanted)
    sigmoid_pair_loss(similarity, torch.tensor([1, 0, 0])).backward()
    for gradient in (projections.grad, bank.grad):
        assert gradient.isfinite().all()
        # 1 / tau = 100 for unit vectors: a zero row must not see 1 / eps instead.
        assert gradient.norm(dim=1).max() <= 200


def test_similarity_gradcheck(pair):
    projections, bank = (x.clone().requires_grad_() for x in pair)
    torch.autograd.gradcheck(lambda z, m: bank_similarity(z, m, 0.5), (projections, bank))


@pytest.mark.parametrize(
    ('projections', 'bank', 'temperature', 'message'),
    [
        ((2, 3), (4, 3), 0.0, 'temperature must be positive, got 0.0'),
        ((2, 3), (4, 3), float('nan'), 'temperature must be positive, got nan'),
        ((3,), (4, 3), 1.0, r'projections must have shape \(N, d\), got \(3,\)'),
        ((2, 3), (4, 2), 1.0, r'bank must have shape \(K, 3\), got \(4, 2\)'),
        ((2, 3), (3,), 1.0, r'bank must have shape \(K, 3\), got \(3,\)'),
    ],
)
def test_similarity_refuses_bad_input(projections, bank, temperature, message):
    with pytest.raises(ValueError, match=message):
        bank_similarity(torch.ones(projections), torch.ones(bank), temperature)


@given(labels=st.lists(st.integers(-1, 4), max_size=12), seed=st.integers(0, 99))
def test_writing_matches_the_loop(labels, seed):
    generator = torch.Generator().manual_seed(seed)
    bank = torch.randn(5, 3, generator=generator)
    seen = torch.randint(0, 3, (5,), generator=generator)
    projections = torch.randn(len(labels), 3, generator=generator)
    counts = [n + labels.count(k) for k, n in enumerate(seen.tolist())]
    wanted = bce3s.write_bank(bank.tolist(), (seen > 0).tolist(), projections.tolist(), labels)
    write_bank(bank, seen, projections, torch.tensor(labels, dtype=torch.int64))
    assert (bank.tolist(), (seen > 0).tolist()) == wanted
    assert seen.tolist() == counts


def test_writing_is_in_place_raw_and_without_gradient():
    bank, seen = torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3)
    bank_before, seen_before = bank, seen
    projections = torch.tensor([[30.0, 40.0], [1.0, 2.0]]).half().requires_grad_()
    write_bank(bank, seen, projections, torch.tensor([2, -1]))
    assert bank_before.tolist() == [[0, 0], [0, 0], [30, 40]]
    assert seen_before.tolist() == [0, 0, 1]
    assert bank.dtype == torch.float64
    assert not bank.requires_grad


def test_writing_touches_the_rows_of_the_batch_alone():
    # NaN in a row that is read, blended and written back would spread or stay; here it is not read.
    bank, seen = torch.full((4, 2), torch.nan), torch.zeros(4)
    projections = torch.tensor([[torch.nan, 1.0], [3.0, 4.0]])
    write_bank(bank, seen, projections, torch.tensor([-1, 2]))
    assert bank[2].tolist() == [3, 4]
    assert bank[[0, 1, 3]].isnan().all()
    # Padding alone, or beside class 0, for which it stands in.
    write_bank(bank, seen, projections, torch.tensor([-1, -1]))
    assert bank[0].isnan().all()
    write_bank(bank, seen, projections.flip(0), torch.tensor([0, -1]))
    assert bank[0].tolist() == [3, 4]
    assert seen.tolist() == [1, 0, 1, 0]


def test_writing_does_not_wait_for_the_device():
    # Meta tensors hold no values: whatever reads one on the host, as a GPU sync does, raises.
    bank, seen = torch.zeros(4, 3, device='meta'), torch.zeros(4, device='meta')
    write_bank(bank, seen, bank[:2].clone(), torch.zeros(2, device='meta').long())
    assert bank.is_meta


def test_no_temporary_is_as_large_as_the_bank():
    class Sizes(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result is not args[0]:
                self.largest = max(self.largest, result.numel())
            return result

    bank, seen, labels = torch.zeros(5000, 16), torch.zeros(5000), torch.arange(8)
    with Sizes() as sizes:
        write_bank(bank, seen, torch.ones(8, 16), labels)
    assert bank.sum() == 8 * 16
    assert sizes.largest == 5000  # one number a class, not a row


def test_the_last_of_many_duplicates_wins():
    # Enough rows for the kernels to split the work; any race would show as another row's value.
    n, threads = 50_000, torch.get_num_threads()
    torch.set_num_threads(2)
    bank, seen = torch.full((2, 1), -1.0), torch.zeros(2)
    write_bank(bank, seen, torch.arange(n).float()[:, None], torch.zeros(n, dtype=torch.int64))
    torch.set_num_threads(threads)
    assert bank.flatten().tolist() == [n - 1, -1]
    assert seen.tolist() == [n, 0]


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        ({'bank': torch.zeros(4)}, ValueError, r'bank must have shape \(K, d\), got \(4,\)'),
        ({'seen': torch.zeros(3)}, ValueError, r'seen must .* \(4,\), got \(3,\)'),
        ({'seen': torch.zeros(4).bool()}, TypeError, 'seen must count .*, got torch.bool'),
        ({'labels': torch.zeros(2, 4)}, ValueError, r'labels must .* \(N,\), got \(2, 4\)'),
        (
            {'labels': torch.zeros(2)},
            TypeError,
            'labels must be int64 class labels, got torch.float32',
        ),
        ({'projections': torch.zeros(2, 5)}, ValueError, r'projections .* \(2, 3\), got \(2, 5\)'),
    ],
)
def test_writing_refuses_bad_input(changes, error, message):
    arguments = {
        'bank': torch.zeros(4, 3),
        'seen': torch.zeros(4),
        'projections': torch.zeros(2, 3),
        'labels': torch.zeros(2, dtype=torch.int64),
    }
    with pytest.raises(error, match=message):
        write_bank(**{**arguments, **changes})
