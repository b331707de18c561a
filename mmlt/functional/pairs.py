"""Losses over similarity pairs: every slot of the tripartite head is one of these two.

A similarity matrix ``s`` (N, K) compares N samples with K things (class vectors, remembered
projections). The pair (i, k) is positive where the target says so and negative elsewhere::

    sigmoid:  loss_i = sum_{k positive} y_ik softplus(-s_ik) + sum_{k negative} softplus(s_ik)
    softmax:  loss_i = sum_k y_ik (logsumexp_l s_il - s_ik)

The sigmoid form decides every pair on its own; the softmax form couples a row through its sum.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlt.functional.checks import (
    REDUCTIONS,
    check_bool,
    check_choice,
    check_floating,
    check_shape,
    check_target,
)
from mmlt.functional.closed_form import Gradients, Kept, closed_form
from mmlt.functional.numerics import reduce_samples, softplus, upcast


def sigmoid_pair_loss(
    similarity: Tensor,
    target: Tensor,
    *,
    negative_mask: Tensor | None = None,
    soft_negatives: bool = False,
    weight: Tensor | None = None,
    reduction: str = 'mean',
) -> Tensor:
    r"""Binary cross-entropy over all pairs, summed over classes.

    .. math::
        L_i = \sum_{k: y_{ik} > 0} y_{ik} \log(1 + e^{-s_{ik}})
            + \sum_{k: y_{ik} = 0,\, m_{ik}} \log(1 + e^{s_{ik}})

    Args:
        similarity: Logits or scaled cosines, any real number. Half and bfloat16 are computed in
            float32.
        target: Class labels (int64, in [0, K)) or soft labels (floating, in [0, 1]).
        negative_mask: Which negative terms are kept; all of them by default. A positive term is
            never dropped. See :func:`sample_negatives`.
        soft_negatives: Give every class the negative term ``(1 - y_ik) softplus(s_ik)``, also
            where ``0 < y_ik < 1``, as the usual binary cross-entropy does.
        weight: Weight of each sample, >= 0.
        reduction: ``'mean'`` (the sum over samples divided by N, not by the sum of the weights),
            ``'sum'`` or ``'none'``.

    Shape:
        similarity (N, K); target (N,) or (N, K); negative_mask (N, K) or (K,) bool; weight (N,);
        returns a scalar, or (N,) for ``'none'``.

    Raises:
        ValueError: A shape that does not fit, or an unknown reduction.
        TypeError: A dtype that does not fit.

    Source:
        BCE3S, eqs. 3, 4 and 35. The soft-label form is the released code's, in which a class with
        0 < y < 1 gets no negative part; the released code clamps the exponent at +-64, which
        overflows in half precision and kills gradients, so softplus is used here.

    Example:
        >>> loss = sigmoid_pair_loss(torch.tensor([[2.0, -1.0]]), torch.tensor([0]))
        >>> round(loss.item(), 4)  # softplus(-2) + softplus(-1)
        0.4402
    """
    _check_pairs(similarity, target, negative_mask, reduction)
    similarity = upcast(similarity)
    if target.ndim == 1:
        loss = _hard_pairs(similarity, target.unsqueeze(1), negative_mask)
    elif soft_negatives or target.requires_grad:
        loss = _sigmoid_soft(similarity, target.to(similarity.dtype), negative_mask, soft_negatives)
    else:
        loss = _soft_pairs(similarity, target.to(similarity.dtype), negative_mask)
    return reduce_samples(loss, weight, reduction)


def softmax_pair_loss(
    similarity: Tensor,
    target: Tensor,
    *,
    negative_mask: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = 'mean',
) -> Tensor:
    r"""Cross-entropy of a softmax over each row's pairs.

    .. math::
        L_i = -\sum_k y_{ik} \log \frac{e^{s_{ik}}}{\sum_{l \in M_i} e^{s_{il}}},
        \quad M_i = \{l: m_{il} \text{ or } y_{il} > 0\}

    Args:
        similarity: Logits or scaled cosines. Half and bfloat16 are computed in float32.
        target: Class labels (int64, in [0, K)) or soft labels (floating, in [0, 1]).
        negative_mask: Which classes besides the positives stand in the denominator, e.g. the
            slots of a memory bank that have been written. A row with neither positives nor kept
            negatives has loss 0.
        weight: Weight of each sample, >= 0.
        reduction: As in :func:`sigmoid_pair_loss`.

    Shape:
        As in :func:`sigmoid_pair_loss`.

    Raises:
        ValueError: A shape that does not fit, or an unknown reduction.
        TypeError: A dtype that does not fit.

    Source:
        BCE3S, eqs. 1, 22, 23 (whose two indices are swapped in print: read as in eqs. 2 and 4)
        and 26. The mask is an addition: the released bank starts as uninitialised memory.

    Example:
        >>> loss = softmax_pair_loss(torch.tensor([[2.0, -1.0]]), torch.tensor([0]))
        >>> round(loss.item(), 4)  # softplus(-3)
        0.0486
    """
    _check_pairs(similarity, target, negative_mask, reduction)
    similarity = upcast(similarity)
    if negative_mask is not None:
        positive = _positives(target, similarity.shape[1])
        # The lowest finite number rather than -inf: it still leaves the sum exactly, but a soft
        # target's 0 * log p stays 0 and a row with nothing kept has a finite logsumexp.
        lowest = torch.finfo(similarity.dtype).min
        similarity = torch.where(positive.logical_or(negative_mask), similarity, lowest)
    if target.ndim == 2:
        target = target.to(similarity.dtype)
    return reduce_samples(F.cross_entropy(similarity, target, reduction='none'), weight, reduction)


def sample_negatives(
    labels: Tensor,
    num_classes: int,
    ratio: float,
    per: str = 'sample',
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw the classes whose negative terms are kept, without ever dropping a positive.

    Args:
        labels: Class labels (int64) or soft labels (floating; a class with mass is a positive).
        num_classes: K, >= 1.
        ratio: The share r of the classes to keep, in (0, 1].
        per: ``'sample'`` keeps each negative pair where its own uniform draw is below ``ratio``.
            ``'batch'`` keeps one subset of ``int(K * ratio)`` classes for the whole batch: the
            batch's own classes first, all of them even if there are more, then random others.
        generator: Source of the draws, on the device of ``labels``.

    Shape:
        labels (N,) or (N, K); returns bool (N, K) for ``'sample'``, (K,) for ``'batch'``.

    Raises:
        ValueError: ``ratio`` outside (0, 1], an unknown ``per``, labels of the wrong shape.
        TypeError: Labels neither int64 nor floating.

    Source:
        ``'sample'``: BCE3S, eq. 3. ``'batch'``: its released code, which however loses positives
        as soon as a batch holds more than ``int(K * ratio)`` classes.

    Example:
        >>> sample_negatives(torch.tensor([3, 1, 3]), num_classes=4, ratio=0.5, per='batch')
        tensor([False,  True, False,  True])
    """
    if not 0 < ratio <= 1:
        raise ValueError(f'ratio must be in (0, 1], got {ratio}')
    if per not in ('sample', 'batch'):
        raise ValueError(f"per must be 'sample' or 'batch', got {per!r}")
    check_target('labels', labels, labels.shape[0] if labels.ndim else 0, num_classes)
    if per == 'sample':
        shape = (labels.shape[0], num_classes)
        draw = torch.rand(shape, generator=generator, device=labels.device)
        return (draw < ratio).logical_or_(_positives(labels, num_classes))
    if labels.ndim == 1:
        present = torch.zeros(num_classes, dtype=torch.bool, device=labels.device)
        present.scatter_(0, labels, True)
    else:
        present = (labels > 0).any(dim=0)
    # Present classes score in [1, 2), the others in [0, 1): the top ones are the subset.
    score = present + torch.rand(num_classes, generator=generator, device=labels.device)
    return present.scatter(0, score.topk(int(num_classes * ratio)).indices, True)


def _sigmoid_hard(similarity: Tensor, index: Tensor, mask: Tensor | None) -> Tensor:
    # softplus(-inf) is 0 with gradient 0, so one elementwise softplus serves all negatives.
    if mask is None:
        negative = similarity.scatter(1, index, -torch.inf)
    else:
        keep = mask.expand_as(similarity).scatter(1, index, False)
        negative = torch.where(keep, similarity, -torch.inf)
    positive = similarity.gather(1, index).squeeze(1)
    return softplus(-positive) + softplus(negative).sum(dim=1)


def _sigmoid_hard_forward(
    similarity: Tensor, index: Tensor, mask: Tensor | None
) -> tuple[Tensor, Kept]:
    flipped = -similarity.gather(1, index)
    terms = softplus(similarity)
    if mask is not None:
        terms.masked_fill_(mask.logical_not(), 0.0)
    return terms.scatter_(1, index, softplus(flipped)).sum(dim=1), (flipped,)


def _sigmoid_hard_backward(
    grad: Tensor, needs: Any, tensors: Any, value: Tensor, kept: Any
) -> Gradients:
    similarity, index, mask = tensors
    slope = torch.sigmoid(similarity)
    if mask is not None:
        slope.masked_fill_(mask.logical_not(), 0.0)
    slope.scatter_(1, index, torch.sigmoid(kept[0]).neg_())
    return slope.mul_(grad.unsqueeze(1)), None, None


_hard_pairs = closed_form(_sigmoid_hard, _sigmoid_hard_forward, _sigmoid_hard_backward)


def _sigmoid_soft(similarity: Tensor, y: Tensor, mask: Tensor | None, soft: bool = False) -> Tensor:
    if soft:
        negative = similarity if mask is None else torch.where(mask, similarity, -torch.inf)
        terms = y * softplus(-similarity) + (1 - y) * softplus(negative)
    else:
        signed, part = _signed(similarity, y, mask)
        terms = part * softplus(signed)
    return terms.sum(dim=1)


def _signed(similarity: Tensor, y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """A class is either positive or negative: flip the sign and weigh a single softplus."""
    positive = y > 0
    signed = torch.where(positive, -similarity, similarity)
    if mask is not None:
        signed = torch.where(positive.logical_or(mask), signed, -torch.inf)
    return signed, torch.where(positive, y, 1.0)


def _sigmoid_soft_forward(
    similarity: Tensor, y: Tensor, mask: Tensor | None
) -> tuple[Tensor, Kept]:
    signed, part = _signed(similarity, y, mask)
    return softplus(signed).mul_(part).sum(dim=1), (signed,)


def _sigmoid_soft_backward(
    grad: Tensor, needs: Any, tensors: Any, value: Tensor, kept: Any
) -> Gradients:
    y = tensors[1]
    part = torch.where(y > 0, -y, 1.0)
    return torch.sigmoid(kept[0]).mul_(part).mul_(grad.unsqueeze(1)), None, None


_soft_pairs = closed_form(_sigmoid_soft, _sigmoid_soft_forward, _sigmoid_soft_backward)


def _positives(target: Tensor, num_classes: int) -> Tensor:
    if target.ndim == 2:
        return target > 0
    positive = torch.zeros(len(target), num_classes, dtype=torch.bool, device=target.device)
    return positive.scatter_(1, target.unsqueeze(1), True)


def _check_pairs(similarity: Tensor, target: Tensor, mask: Tensor | None, reduction: str) -> None:
    """Shapes and dtypes only: looking at values would wait for the GPU."""
    check_shape('similarity', similarity, 'N', 'K')
    check_floating('similarity', similarity)
    n, k = similarity.shape
    check_target('target', target, n, k)
    if mask is not None:
        check_bool('negative_mask', mask)
        if mask.shape not in ((n, k), (k,)):
            got = tuple(mask.shape)
            raise ValueError(f'negative_mask must have shape {(n, k)} or {(k,)}, got {got}')
    check_choice('reduction', reduction, REDUCTIONS)
