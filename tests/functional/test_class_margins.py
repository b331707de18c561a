"""The margins that class counts give."""

import math

import pytest
import torch
from reference import dbm

from mmlt.class_counts import load_class_counts
from mmlt.functional import dbm_class_margin, ldam_class_margin

COUNTS = [30, 500, 2, 80, 1]  # not sorted, as on ImageNet-LT
K = len(COUNTS)


@pytest.mark.parametrize('tau', [0.0, 0.5, 1.0, 2.0])
def test_class_margins_are_the_printed_ones(tau):
    wanted = [dbm.eq_6(COUNTS, k, 0.3, tau) for k in range(K)]
    torch.testing.assert_close(dbm_class_margin(COUNTS, 0.3, tau), torch.tensor(wanted))
    wanted = [dbm.eq_6(COUNTS, k, 0.3, tau, reference=COUNTS[-1]) for k in range(K)]
    got = dbm_class_margin(torch.tensor(COUNTS), 0.3, tau, reference='last')
    torch.testing.assert_close(got, torch.tensor(wanted))
    factor = dbm.ldam_factor(COUNTS, 0.4)
    wanted = [-dbm.ldam([math.pi / 2] * K, k, factor, COUNTS) for k in range(K)]
    torch.testing.assert_close(ldam_class_margin(COUNTS, 0.4), torch.tensor(wanted))


def test_class_margin_defaults():
    torch.testing.assert_close(dbm_class_margin(COUNTS), dbm_class_margin(COUNTS, 0.1, 1.0, 'min'))
    assert dbm_class_margin(COUNTS).max() == pytest.approx(0.1)
    assert ldam_class_margin(COUNTS).max() == pytest.approx(0.5)


@pytest.mark.parametrize('function', [dbm_class_margin, ldam_class_margin])
def test_class_margins_follow_their_classes(function):
    order = torch.tensor([3, 0, 4, 1, 2])
    permuted = [COUNTS[k] for k in order]
    torch.testing.assert_close(function(permuted), function(COUNTS)[order])
    assert function(COUNTS).argsort(descending=True).tolist() == [4, 2, 0, 3, 1]
    torch.testing.assert_close(function([7] * K, 0.2), torch.full((K,), 0.2))


@pytest.mark.parametrize(
    ('name', 'factor'), [('imagenet-lt', 4.2), ('inaturalist2018', 13.5), ('cifar100-lt-if100', 1)]
)
def test_the_last_class_as_reference(name, factor):
    counts = load_class_counts(name)
    assert dbm_class_margin(counts, 0.1).max() == pytest.approx(0.1)
    assert dbm_class_margin(counts, 0.1, reference='last').max() == pytest.approx(0.1 * factor)


@pytest.mark.parametrize(
    ('function', 'arguments', 'error', 'message'),
    [
        (dbm_class_margin, dict(max_margin=-0.1), ValueError, r'max_margin .*3.142\], got -0.1'),
        (dbm_class_margin, dict(max_margin=3.2), ValueError, r'max_margin .*got 3.2'),
        (dbm_class_margin, dict(tau=-1), ValueError, 'tau must be >= 0 and finite, got -1'),
        (dbm_class_margin, dict(reference='max'), ValueError, "reference .*got 'max'"),
        (dbm_class_margin, dict(class_counts=[3, 0]), ValueError, 'class_counts .*for class 1'),
        (ldam_class_margin, dict(max_margin=2.1), ValueError, r'max_margin .*\[0, 2\], got 2.1'),
        (ldam_class_margin, dict(class_counts=[]), ValueError, r'class_counts .*got \(0,\)'),
    ],
)
def test_bad_class_margins_are_refused(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(**{'class_counts': [3, 1], **arguments})
