"""Sample against sample: the features of a batch against one another, class by class.

Compared are the features (N, V, d) of a batch, V views of each sample, with one another and with
the prototypes (K, d) of the classes. All of these have unit length already. What is compared with
a memory instead stands in :mod:`mmlt.functional.bank`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlt.functional.checks import (
    REDUCTIONS,
    check_choice,
    check_floating,
    check_labels,
    check_positive,
    check_shape,
)
from mmlt.functional.moved import forward
from mmlt.functional.numerics import reduce_samples, upcast

FORMS = ('L1', 'L2', 'L3')
__getattr__ = forward(
    __name__, dict.fromkeys(('bank_similarity', 'write_bank'), 'mmlt.functional.bank')
)


def balanced_contrastive_loss(
    features: Tensor,
    target: Tensor,
    prototypes: Tensor | None,
    temperature: float,
    *,
    form: str = 'L1',
    class_averaging: bool = True,
    reduction: str = 'mean',
) -> Tensor:
    r"""Supervised contrast in which every class weighs the same, however often it is drawn.

    .. math::
        L_i = \log \sum_j \frac{1}{n_{ij}} \sum_{k \in A_{ij}} e^{s_{ik}}
            - \frac{1}{n_{iy}} \sum_{p \in A_{iy}} s_{ip},
        \quad s_{ik} = \frac{1}{\tau} \langle z_i, z_k \rangle

    The anchors i are all N V features, y is the class of i. :math:`A_{ij}` are the items of class
    j that i sees, :math:`n_{ij}` of them: all features but itself, and the prototype of j
    (class-complement). A class of which it sees nothing is left out of the sum, and an anchor
    that sees nothing of its own class has loss 0.

    Args:
        features: Projected features, rows of unit length (not normalised again).
        target: Class labels, in [0, K).
        prototypes: One row of unit length a class; None to do without class-complement.
        temperature: tau, > 0.
        form: ``'L1'`` averages the exponentials of a class, as above. ``'L2'`` averages inside:
            :math:`\log \sum_j \exp(\frac{1}{n_{ij}} \sum_{k \in A_{ij}} s_{ik})`; prototypes, if
            given, are items there too. ``'L3'`` is the softmax over the prototypes alone.
        class_averaging: False sets the 1 / n_ij of the first term to 1; ``'L1'`` only.
        reduction: ``'mean'`` over all N V anchors, ``'sum'`` or ``'none'``.

    Shape:
        features (N, V, d), target (N,) int64, prototypes (K, d); returns a scalar, or (N, V) for
        ``'none'``, in float32, or float64 if either input is.

    Raises:
        ValueError: Shapes that do not fit (soft labels are not taken), a temperature that is not
            positive, an unknown form or reduction, or a form without what it needs.
        TypeError: ``features`` or ``prototypes`` not floating, ``target`` not int64.

    Source:
        BCL, eqs. 6 to 9. L1 with averaging and prototypes is eq. 9 as the released code computes
        it: in print the anchor is an item of its own class. Without prototypes it is eq. 6,
        without averaging the row "complement" of table 2, without both eq. 1. Eq. 7 (L2) is
        printed without prototypes; table 1 does not say whether it was run so.

    Example:
        >>> simplex = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> views, labels = simplex[:, None].repeat(1, 2, 1), torch.tensor([0, 1])
        >>> loss = balanced_contrastive_loss(views, labels, simplex, temperature=1.0)
        >>> round(loss.item(), 4)  # log(1 + exp(-2)), the lower bound of eq. 5
        0.1269
    """
    _check_contrast(features, target, prototypes, temperature, reduction)
    check_form(form, class_averaging, prototypes is not None)
    features = upcast(features)
    if prototypes is not None:
        prototypes = upcast(prototypes)
        dtype = torch.promote_types(features.dtype, prototypes.dtype)
        features, prototypes = features.to(dtype), prototypes.to(dtype)
    # Autocast would round the cosines, then multiply the error by 1 / tau.
    with torch.autocast(features.device.type, enabled=False):
        if form == 'L3':
            assert prototypes is not None  # check_form saw to it
            similarity = features.flatten(0, 1) / temperature @ prototypes.T
            labels = target.repeat_interleave(features.shape[1])
            loss = F.cross_entropy(similarity, labels, reduction='none').view(features.shape[:2])
        else:
            loss = _contrast(features, target, prototypes, temperature, form, class_averaging)
    return loss if reduction == 'none' else reduce_samples(loss.flatten(), None, reduction)


def supervised_contrastive_loss(
    features: Tensor, target: Tensor, temperature: float, *, reduction: str = 'mean'
) -> Tensor:
    r"""Contrast each feature with all others, those of its own class being the positives.

    .. math::
        L_i = -\frac{1}{|P_i|} \sum_{p \in P_i} \log
            \frac{e^{s_{ip}}}{\sum_{k \ne i} e^{s_{ik}}}

    Args:
        features: Projected features, rows of unit length (not normalised again).
        target: Class labels; any integers.
        temperature: tau, > 0.
        reduction: As in :func:`balanced_contrastive_loss`.

    Shape:
        As in :func:`balanced_contrastive_loss`.

    Raises:
        ValueError: A shape, temperature or reduction that does not fit.
        TypeError: ``features`` not floating, ``target`` not int64.

    Source:
        BCL, eqs. 1 and 2; Khosla et al. (2020), :math:`L_{out}`.

    Example:
        >>> views = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[-1.0, 0.0], [-1.0, 0.0]]])
        >>> loss = supervised_contrastive_loss(views, torch.tensor([0, 1]), temperature=1.0)
        >>> round(loss.item(), 4)  # log(1 + 2 exp(-2))
        0.2395
    """
    return balanced_contrastive_loss(
        features, target, None, temperature, class_averaging=False, reduction=reduction
    )


def _contrast(
    features: Tensor,
    target: Tensor,
    prototypes: Tensor | None,
    temperature: float,
    form: str,
    class_averaging: bool,
) -> Tensor:
    """Forms L1 and L2, (N, V): log of the features' part of the sum plus the prototypes' part."""
    queries = features / temperature
    same = target.unsqueeze(1) == target
    # n_ij for the class j of each sample: as other classes' anchors see it, and as its own do.
    count = same.sum(1, dtype=features.dtype)
    seen = features.shape[1] * count + (prototypes is not None)
    own = seen - 1
    # Another view, or the prototype, is always there; else a sample may be alone in its class.
    never_alone = features.shape[1] > 1 or prototypes is not None
    own_or_one = own if never_alone else own.clamp(min=1)
    class_sum = same.to(features.dtype) @ features.sum(1)
    positives = class_sum.unsqueeze(1) - features
    if prototypes is not None:
        prototype = prototypes.index_select(0, target)
        class_sum, positives = class_sum + prototype, positives + prototype.unsqueeze(1)
    positive = (queries * positives).sum(-1) / own_or_one.unsqueeze(1)

    if form == 'L2':
        similarity = queries @ (class_sum / seen.unsqueeze(1)).T
        similarity = torch.where(same.unsqueeze(1), positive.unsqueeze(2), similarity)
        # A class stands in as many columns as it has samples.
        total = (similarity - count.log()).logsumexp(2)
        # The prototype of a class in the batch is in that class's mean.
        bias = torch.full_like(seen, torch.finfo(seen.dtype).min)
    else:
        weight = torch.where(same, own_or_one, seen) if class_averaging else None
        total = _features_part(queries, features, weight)
        bias = -seen.log() if class_averaging else torch.zeros_like(seen)
    if prototypes is not None:
        bias = bias.new_zeros(len(prototypes)).scatter(0, target, bias)
        similarity = torch.addmm(bias, queries.flatten(0, 1), prototypes.T)
        total = torch.logaddexp(total, similarity.logsumexp(1).view_as(total))
        if form == 'L1' and class_averaging:
            # For its own class an anchor counts one item less than the bias does: 1 / n is
            # 1 / (n + 1) + 1 / (n (n + 1)), so one more term serves instead of a change to the
            # large matrix.
            similarity = (queries * prototype.unsqueeze(1)).sum(-1)
            total = torch.logaddexp(total, similarity - (own * seen).log().unsqueeze(1))
    loss = total - positive
    return loss if never_alone else torch.where(own.unsqueeze(1) > 0, loss, 0.0)


def _features_part(queries: Tensor, features: Tensor, weight: Tensor | None) -> Tensor:
    """log sum over the other features k of exp(s_ik) / w_ik, weight (N, N); returns (N, V)."""
    n, v, _ = features.shape
    bias = features.new_zeros(n, n) if weight is None else -weight.log()
    bias = bias[:, None, :, None].repeat(1, v, 1, v).view(n * v, n * v)
    # The lowest finite number rather than -inf: an anchor may see no other feature at all.
    bias.diagonal().fill_(torch.finfo(bias.dtype).min)
    similarity = torch.addmm(bias, queries.flatten(0, 1), features.flatten(0, 1).T)
    return similarity.logsumexp(1).view(n, v)


def _check_contrast(
    features: Tensor, target: Tensor, prototypes: Tensor | None, temperature: float, reduction: str
) -> None:
    """Shapes and dtypes only: looking at values would wait for the GPU."""
    check_shape('features', features, 'N', 'V', 'd')
    check_floating('features', features)
    check_labels('target', target, len(features), hint='; soft labels are not taken')
    if prototypes is not None:
        check_shape('prototypes', prototypes, 'K', features.shape[2])
        check_floating('prototypes', prototypes)
    check_positive('temperature', temperature)
    check_choice('reduction', reduction, REDUCTIONS)


def check_form(form: str, class_averaging: bool, has_prototypes: bool) -> None:
    """Refuse options of :func:`balanced_contrastive_loss` that do not go together."""
    check_choice('form', form, FORMS)
    if form != 'L1' and not class_averaging:
        raise ValueError(f'form {form!r} needs class_averaging=True, got False')
    if form == 'L3' and not has_prototypes:
        raise ValueError("form 'L3' needs prototypes (class-complement)")
