"""The argument checks: what they let pass, and what they say of the rest."""

import math

import pytest
import torch

from mmlt.functional import checks

INT = torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        # A letter is any size, a number that one, a letter with a plus at least one.
        (lambda: checks.check_shape('x', torch.ones(0, 2), 'N', 'D'), None, None),
        (lambda: checks.check_shape('x', torch.ones(3, 2), 3, 'D+'), None, None),
        (
            lambda: checks.check_shape('x', torch.ones(3, 2), 4, 'D', hint='; why'),
            ValueError,
            'x must have shape (4, D), got (3, 2); why',
        ),
        (
            lambda: checks.check_shape('x', torch.ones(3, 0), 'N', 'K+'),
            ValueError,
            'x must have shape (N, K) with K >= 1, got (3, 0)',
        ),
        (
            lambda: checks.check_shape('x', torch.ones(()), 'N'),
            ValueError,
            'x must have shape (N,), got ()',
        ),
        (lambda: checks.check_labels('y', INT, 3), None, None),
        (
            lambda: checks.check_labels('y', INT.int()),
            TypeError,
            'y must be int64 class labels, got torch.int32',
        ),
        # Without a sample there is nothing outside.
        (lambda: checks.check_label_range('y', INT[:0], 0), None, None),
        (
            lambda: checks.check_label_range('y', INT - 1, 5),
            ValueError,
            'y must be in [0, 5), got values in [-1, -1]',
        ),
        (lambda: checks.check_scores('p', torch.tensor([0.0, 1.0])), None, None),
        (
            lambda: checks.check_scores('p', torch.tensor([0.5, math.nan])),
            ValueError,
            'p must be in [0, 1], got values in [nan, nan]',
        ),
        (lambda: checks.check_not_negative('t', 0), None, None),
        (
            lambda: checks.check_not_negative('t', math.inf),
            ValueError,
            't must be >= 0 and finite, got inf',
        ),
        (lambda: checks.check_at_least('n', 1, 1), None, None),
        (
            lambda: checks.check_at_least('n', math.nan, 1),
            ValueError,
            'n must be at least 1, got nan',
        ),
        (
            lambda: checks.check_choice('kind', 'c', ['a', 'b']),
            ValueError,
            "kind must be one of ('a', 'b'), got 'c'",
        ),
        (lambda: checks.check_chunk_size(None), None, None),
        (
            lambda: checks.check_chunk_size(True),
            ValueError,
            'chunk_size must be a positive integer or None, got True',
        ),
        (
            lambda: checks.as_counts([3, math.nan], 0),
            ValueError,
            'class_counts must be at least 0 for every class, got nan for class 1',
        ),
    ],
)
def test_each_check_lets_pass_what_fits_and_names_what_does_not(call, error, message):
    if error is None:
        call()
        return
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize('value', [0, -1.0, math.nan, math.inf])
def test_a_number_that_is_not_positive_and_finite_is_refused(value):
    with pytest.raises(ValueError, match=f'tau must be positive, got {value}'):
        checks.check_positive('tau', value)
