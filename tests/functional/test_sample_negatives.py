"""The sampling of negatives."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlt.functional import sample_negatives


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
