r"""Networks that learn from each other, and the classes that are hard to tell from the label.

M experts give logits (M, N, K) of the same images, a teacher (N, K)::

    mutual distillation      each expert's probabilities against those of every other
    hard-category mining     all but the label and the classes nearest to it are masked
    knowledge distillation   a student's softened probabilities against a teacher's
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlt.functional.checks import (
    check_choice,
    check_floating,
    check_labels,
    check_positive,
    check_shape,
)
from mmlt.functional.numerics import upcast

MASKS = ('zero', 'exclude')
_ONE_CLASS = (
    '; the label is among the hard classes, so soft labels (mixup, cutmix, label smoothing) do '
    'not fit'
)


def mutual_distillation(logits: Tensor, eps: float = 1e-9) -> Tensor:
    r"""Divergence of the experts from each other, summed over all pairs.

    .. math::
        D = \frac{1}{M - 1} \frac{1}{N} \sum_n \sum_{i \ne j} KL(P^j_n \| P^i_n)
          = \frac{M}{M - 1} \frac{1}{N} \sum_{n, j, k} (P^j_{nk} - \bar P_{nk})
            (L^j_{nk} - \bar L_{nk})

    with P the softmax of the logits, L = log(P + eps), and means over the experts. The second form
    is what is computed: M terms in place of M (M - 1), and no small difference of large sums where
    the experts agree. Both sides of every pair get a gradient.

    Args:
        logits: Of M experts; -inf takes a class out. Half and bfloat16 are computed in float32.
        eps: Added to the probabilities before the logarithm, > 0; it bounds what a class costs
            that an expert has ruled out.

    Shape:
        logits (M, N, K); returns a scalar. One expert has no other: 0. So has an empty batch.

    Raises:
        ValueError: A shape that does not fit, or ``eps`` not positive.
        TypeError: ``logits`` not floating.

    Source:
        NCL (Li et al., CVPR 2022), the distillation among experts, as released: no temperature, no
        stop-gradient, log(P + 1e-9).

    Example:
        >>> logits = torch.tensor([[[0.0, 0.0]], [[2.0, 0.0]]])
        >>> round(mutual_distillation(logits).item(), 4)  # 0.4338 and 0.3279
        0.7616
    """
    check_shape('logits', logits, 'M+', 'N', 'K+')
    check_floating('logits', logits)
    if not 0 < eps < 1:
        raise ValueError(f'eps must be in (0, 1), got {eps}')
    m, n, _ = logits.shape
    probability = upcast(logits).softmax(dim=-1)
    log = (probability + eps).log()
    excess = (probability - probability.mean(0)) * (log - log.mean(0))
    return excess.sum() * (m / (max(m - 1, 1) * max(n, 1)))


def hard_classes(logits: Tensor, labels: Tensor, num_hard: int) -> Tensor:
    r"""The label and the classes with the largest logits beside it.

    .. math:: H = \{y\} \cup \operatorname{top}_{h - 1} \{z_k : k \ne y\}

    Args:
        logits: What is compared, without prior and margin; no gradient flows to them.
        labels: Class labels (int64, in [0, K)).
        num_hard: h, the label included, in [1, K].

    Shape:
        logits (N, K); labels (N,); returns a mask (N, K), bool, with h true values a row.

    Raises:
        ValueError: A shape that does not fit, or ``num_hard`` outside its range.
        TypeError: A dtype that does not fit.

    Source:
        NCL, hard-category mining.

    Example:
        >>> hard_classes(torch.tensor([[3.0, 1.0, 2.0, 0.0]]), torch.tensor([3]), num_hard=2)
        tensor([[ True, False, False,  True]])
    """
    check_shape('logits', logits, 'N', 'K')
    check_floating('logits', logits)
    check_labels('labels', labels, len(logits), hint=_ONE_CLASS)
    check_num_hard(num_hard, logits.shape[1])
    # The label comes first, whatever its logit; of the others, the largest.
    index = labels.unsqueeze(1)
    others = logits.detach().scatter(1, index, float('inf'))
    mask = logits.new_zeros(logits.shape, dtype=torch.bool)
    return mask.scatter(1, others.topk(num_hard, dim=1).indices, True)


def mask_easy_classes(logits: Tensor, hard: Tensor, mask: str = 'zero') -> Tensor:
    r"""Logits of the hard classes; those of the others no longer depend on the image.

    .. math::
        h_k = b_k \; (k \in H), \quad h_k = 0 \text{ ('zero')} \text{ or } -\infty
        \text{ ('exclude')} \; (k \notin H)

    A logit of 0 is not out: it keeps its share exp(0) of the denominator. What that share is worth
    depends on a constant in all b, so 'zero' goes with b = z + log n_k of raw counts. A loss of
    'exclude' does not depend on it.

    Args:
        logits: b. Half and bfloat16 become float32.
        hard: Of :func:`hard_classes`.
        mask: 'zero' or 'exclude'.

    Shape:
        logits (..., N, K); hard (N, K) bool; returns (..., N, K).

    Raises:
        ValueError: A shape that does not fit, or an unknown mask.

    Source:
        NCL: 'zero' is the released code, 'exclude' the reading of the paper.

    Example:
        >>> hard = torch.tensor([[True, False, True]])
        >>> mask_easy_classes(torch.tensor([[3.0, 1.0, 2.0]]), hard)
        tensor([[3., 0., 2.]])
    """
    check_choice('mask', mask, MASKS)
    if logits.shape[-2:] != hard.shape:
        raise ValueError(
            f'hard must have shape {tuple(logits.shape[-2:])}, got {tuple(hard.shape)}'
        )
    return upcast(logits).masked_fill(~hard, 0.0 if mask == 'zero' else float('-inf'))


def knowledge_distillation(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    r"""Divergence of a student from its teacher, both softened.

    .. math::
        L = \frac{T^2}{N} \sum_n KL(\operatorname{softmax}(t_n / T) \|
            \operatorname{softmax}(z_n / T))

    The factor keeps the size of the gradient when T changes. None flows to the teacher.

    Args:
        student: Logits z. Half and bfloat16 are computed in float32.
        teacher: Logits t.
        temperature: T, > 0.

    Shape:
        student (N, K), teacher (N, K); returns a scalar, 0 for an empty batch.

    Raises:
        ValueError: Shapes that do not fit, or a temperature that is not positive.
        TypeError: Logits that are not floating.

    Source:
        Hinton et al. (2015); GML as released, T = 4.

    Example:
        >>> zero = torch.zeros(1, 2)
        >>> round(knowledge_distillation(zero, torch.tensor([[1.0, 0.0]]), 1.0).item(), 4)
        0.1109
    """
    check_shape('student', student, 'N', 'K+')
    check_shape('teacher', teacher, *student.shape)
    check_floating('student', student)
    check_floating('teacher', teacher)
    check_positive('temperature', temperature)
    # Autocast leaves these in float32, but not the division.
    student = (upcast(student) / temperature).log_softmax(dim=1)
    teacher = (upcast(teacher.detach()) / temperature).log_softmax(dim=1)
    loss = F.kl_div(student, teacher.to(student.dtype), reduction='sum', log_target=True)
    return temperature**2 / max(len(student), 1) * loss


def check_num_hard(num_hard: int, num_classes: int) -> None:
    """Refuse a number of hard classes that is not an integer in [1, K]."""
    if isinstance(num_hard, bool) or not isinstance(num_hard, int):
        raise TypeError(f'num_hard must be an integer, got {num_hard!r}')
    if not 1 <= num_hard <= num_classes:
        raise ValueError(f'num_hard must be in [1, {num_classes}], got {num_hard}')
