"""Odd numbers, odd sizes, odd counts: a documented error, or finite values and gradients."""

import resource

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpretrain.registry import METRICS, MODELS
from mmpretrain.structures import DataSample

import mmlt  # noqa: F401

EXTREMES = [0.0, 1.0, -1.0, 1e-8, 30.0, -100.0, 1e4, -1e4]
INFINITE = [float('inf'), float('-inf'), float('nan')]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
KINDS = {
    'SigmoidPairLoss': {},
    'SoftmaxPairLoss': {},
    'SoftmaxFocalLoss': {},
    'BalancedSoftmaxLoss': {'class_counts': None},
    'ClassBalancedLoss': {'class_counts': None},
}


def criterion(kind: str, counts: list[int]):
    options = dict.fromkeys(KINDS[kind], counts)
    return MODELS.build(dict(type=kind, **options))


@st.composite
def batches(draw):
    n, k = draw(st.integers(0, 4)), draw(st.integers(1, 4))
    value = st.sampled_from(EXTREMES)
    logits = [[draw(value) for _ in range(k)] for _ in range(n)]
    counts = [draw(st.sampled_from([1, 20, 100, 10**9])) for _ in range(k)]
    labels = [draw(st.integers(0, k - 1)) for _ in range(n)]
    return torch.tensor(logits).reshape(n, k), torch.tensor(labels, dtype=torch.int64), counts


@pytest.mark.parametrize('kind', KINDS)
@given(batch=batches(), dtype=st.sampled_from(DTYPES), autocast=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_criterion_gives_finite_values_and_gradients_or_a_documented_error(
    kind, batch, dtype, autocast
):
    logits, labels, counts = batch
    logits = logits.to(dtype).requires_grad_()
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        try:
            loss = criterion(kind, counts)(logits, labels)
        except ValueError:
            if len(labels) and logits.shape[1] > 1:
                raise  # only a batch without images or with one class may be refused
            return
    assert torch.isfinite(loss)
    loss.backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize('value', INFINITE)
def test_what_is_no_number_is_refused_by_the_metrics(value):
    """A criterion passes it on; FiniteLossHook stops the run."""
    scores = torch.tensor([0.5, value, 0.5])
    for name in ('ShotAccuracy', 'CalibrationError'):
        metric = METRICS.build(dict(type=name, class_counts=[9, 9, 9]))
        sample = DataSample().set_pred_score(scores).set_gt_label(1).to_dict()
        with pytest.raises(ValueError, match='pred_score'):
            metric.process(None, [sample])


HEADS = {
    'BCE3SHead': {},
    'DBMHead': {'class_counts': [50, 20, 5, 2]},
    'TripartiteHead': {},
}


@pytest.mark.parametrize('kind', HEADS)
def test_memory_stays_flat_over_300_iterations(kind):
    torch.manual_seed(0)
    head = MODELS.build(dict(type=kind, num_classes=4, in_channels=64, **HEADS[kind])).train()
    optimizer = torch.optim.SGD(head.parameters(), lr=1e-3)
    samples = [DataSample().set_gt_label(i % 4) for i in range(16)]
    features = torch.randn(16, 64)

    def steps(n):
        for _ in range(n):
            losses = head.loss((features,), samples)
            loss = sum(value for name, value in losses.items() if 'loss' in name)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = steps(30)
    grown = steps(300) - before
    assert grown < 8 * 1024, f'{grown} KiB more after 300 iterations'  # a graph kept: 20 MiB
