r"""Margins: make the target's logit harder to win than it has to be in the test.

A cosine classifier sees the angles theta_k between a sample and the class vectors. A margin m
changes the target's logit alone; the losses of :mod:`mmlt.functional.pairs` do the rest::

    subtracted from the cosine:  s (cos theta_y - m)     CosFace (constant m), LDAM (m by class)
    added to the angle:          s cos(theta_y + m)      ArcFace (constant m), DBM (m by class and
                                                         by sample)
    multiplied with the angle:   s cos(m theta_y)        SphereFace (whole m)

All added margins go through :func:`cos_plus_margin`, which needs no ``acos``.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mmlt.functional.checks import (
    Counts,
    as_counts,
    check_choice,
    check_floating,
    check_labels,
    check_not_negative,
    check_positive,
    check_shape,
)
from mmlt.functional.closed_form import Gradients, Kept, closed_form
from mmlt.functional.numerics import upcast

# Of the target's cosines (N, 1): their values with a margin, and the slopes; None for slope 1.
Move = Callable[[Tensor], tuple[Tensor, Tensor | None]]
_REFERENCES = ('min', 'last')
_INSTANCE_MARGINS = ('hard', 'all', 'none')
_ONE_CLASS = (
    '; a margin belongs to one class, so soft labels (mixup, cutmix, label smoothing) do not fit'
)


def dbm_class_margin(
    class_counts: Counts, max_margin: float = 0.1, tau: float = 1.0, reference: str = 'min'
) -> Tensor:
    r"""The class-wise margin of DBM: an angle that grows as a class gets rarer.

    .. math:: m_k = K \left(\frac{n_k}{n_{ref}}\right)^{-\tau}

    Args:
        class_counts: Training images of each class, >= 1, in any order.
        max_margin: K, the margin of a class as large as the reference, in radians, in [0, pi].
        tau: How much the margins differ, >= 0; 0 gives all classes the same.
        reference: The class that n_ref is the size of: ``'min'`` is the smallest, so that
            ``max_margin`` is the largest margin; ``'last'`` is the one with the highest index.

    Shape:
        class_counts (K,); returns (K,), in radians.

    Raises:
        ValueError: An argument outside its range, or a class without images.

    Source:
        DBM, eq. 6: ``'min'``. The released code divides by the last class, which is the same
        where classes are sorted by size (CIFAR-LT). On ImageNet-LT its largest margin is
        4.2 ``max_margin``, on iNaturalist 2018 13.5 ``max_margin``: ``'last'``.

    Example:
        >>> dbm_class_margin([20, 5, 10])
        tensor([0.0250, 0.1000, 0.0500])
        >>> dbm_class_margin([20, 5, 10], reference='last')
        tensor([0.0500, 0.2000, 0.1000])
    """
    _check_margin('max_margin', max_margin, math.pi)
    check_not_negative('tau', tau)
    check_choice('reference', reference, _REFERENCES)
    counts = as_counts(class_counts, minimum=1)
    base = counts.min() if reference == 'min' else counts[-1]
    return (max_margin * (counts / base) ** -tau).to(torch.get_default_dtype())


def ldam_class_margin(class_counts: Counts, max_margin: float = 0.5) -> Tensor:
    r"""The class-wise margin of LDAM: part of a cosine that grows as a class gets rarer.

    .. math:: m_k = C \, n_k^{-1/4}, \quad C \text{ such that } \max_k m_k = m_{max}

    Args:
        class_counts: Training images of each class, >= 1, in any order.
        max_margin: Margin of the smallest class, in units of the cosine, in [0, 2].

    Shape:
        class_counts (K,); returns (K,).

    Raises:
        ValueError: ``max_margin`` outside its range, or a class without images.

    Source:
        DBM, table 1; Cao et al. (2019, LDAM), scaled as in its released code, whose default 0.5
        is kept.

    Example:
        >>> ldam_class_margin([1600, 1, 16])
        tensor([0.0791, 0.5000, 0.2500])
    """
    _check_margin('max_margin', max_margin, 2.0)
    counts = as_counts(class_counts, minimum=1)
    return (max_margin * (counts / counts.min()) ** -0.25).to(torch.get_default_dtype())


def cos_plus_margin(cosine: Tensor, margin: Tensor | float) -> Tensor:
    r"""``cos(theta + m)`` from ``cos(theta)``, safe at every cosine and never rising past pi.

    .. math::
        f(c, m) = \begin{cases}
            c \cos m - \sqrt{1 - c^2} \, \sin m & \theta + m < \pi \\
            c - (1 - \cos m) & \theta + m \ge \pi
        \end{cases}, \quad c = \cos\theta

    Past pi the cosine would rise again and reward a worse angle. Both pieces are -1 where they
    meet; from there the margin is a subtracted one of the size 1 - cos m, so f falls on, down to
    cos m - 2, with the slope 1 that the cosine has without a margin. A plain cap at -1 would have
    slope 0 there: for DBM's default 0.1 that concerns angles above 168 degrees only, but with
    ``reference='last'`` on iNaturalist a hard sample of a class of two images is past pi
    at 75 degrees already, before training has begun, and would never be pulled to its class.

    The value is exact to rounding. The slope ``df/dc = sin(theta + m) / sin(theta)`` is truly
    unbounded at c = 1 and only there. It is true up to the last number below 1 that the dtype of
    ``cosine`` can hold; at 1 itself it is ``cos m + 2 sin m / sqrt(u)`` with u half the dtype's
    eps (8192 sin m in float32, 90 in float16). Cosines outside [-1, 1] have passed +-1 by rounding
    and are taken for +-1, in value and slope.

    Args:
        cosine: cos(theta), in [-1, 1] but for rounding. Half and bfloat16 are computed in float32.
        margin: m in radians, >= 0; above pi it counts as pi. May depend on ``cosine``; its
            gradient is taken too.

    Shape:
        cosine (...); margin a number or broadcastable to it; returns (...).

    Raises:
        TypeError: ``cosine`` not floating.

    Source:
        ArcFace (Deng et al., 2019) and DBM, eq. 9. DBM's released code, like mmpretrain's ArcFace
        head, takes acos without a clamp, whose gradient is infinite at +-1 and NaN beyond. It has
        no guard at pi; ArcFace's goes on as ``c - m sin m``, which jumps where it takes over.

    Example:
        >>> cos_plus_margin(torch.tensor([1.0, 0.5, -1.0]), math.pi / 6)
        tensor([ 0.8660,  0.0000, -1.1340])
    """
    check_floating('cosine', cosine)
    c = _within(cosine)
    m = torch.as_tensor(margin, dtype=c.dtype, device=c.device)
    return _rotate(c, m, torch.zeros_like(c), torch.finfo(cosine.dtype).eps / 2)[0]


def dbm_logits(
    cosine: Tensor,
    target: Tensor,
    class_margin: Tensor,
    scale: float = 32.0,
    instance_margin: str = 'hard',
    instance_weight: float = 1.0,
) -> Tensor:
    r"""Scaled cosines with DBM's margins on the target's angle.

    .. math::
        z_y = s \cos(\theta_y + m_y + h \, m_I), \quad
        m_I = \lambda \, m_y \frac{1 - \cos\theta_y}{2}, \quad
        z_k = s \cos\theta_k \; (k \ne y)

    ``h`` is 1 for the samples that ``instance_margin`` names and 0 for the others. A hard positive
    is a sample with a class strictly nearer than its own, before any margin. A tie is not hard:
    no other class is nearer, and a rule that picks one of several nearest classes, as argmin
    does, would depend on the order of the classes.

    Args:
        cosine: Cosines of features and class vectors, in [-1, 1] but for rounding. Half and
            bfloat16 are computed in float32.
        target: Class labels (int64, in [0, K)). Soft labels have no one target and are refused.
        class_margin: m, in radians, >= 0, e.g. of :func:`dbm_class_margin`. A constant one with
            ``instance_margin='none'`` is ArcFace.
        scale: s, > 0.
        instance_margin: ``'hard'``, ``'all'`` or ``'none'``.
        instance_weight: lambda, >= 0; 1 in the paper.

    Shape:
        cosine (N, K); target (N,); class_margin (K,); returns logits (N, K). Where the margins
        pass pi, see :func:`cos_plus_margin`.

    Raises:
        ValueError: A shape that does not fit, or an option outside its range.
        TypeError: A dtype that does not fit.

    Source:
        DBM, eqs. 7-9; ``'all'`` and ``'none'`` as in its ablation. As in the released code, the
        gradient also flows through the cosine in m_I.

    Example:
        >>> cosine = torch.tensor([[0.0, 0.6], [0.0, 0.6]])
        >>> margin = torch.tensor([0.2, 0.1])
        >>> dbm_logits(cosine, torch.tensor([0, 1]), margin, scale=1.0)  # 0 is hard, 1 is not
        tensor([[-0.2955,  0.6000],
                [ 0.0000,  0.5171]])
        >>> arcface = torch.full((2,), 0.5)
        >>> dbm_logits(cosine, torch.tensor([0, 1]), arcface, scale=1.0, instance_margin='none')
        tensor([[-0.4794,  0.6000],
                [ 0.0000,  0.1430]])
    """
    _check_logits(cosine, target, class_margin, scale)
    check_instance_margin(instance_margin, instance_weight)
    index = target.unsqueeze(1)
    tiny = torch.finfo(cosine.dtype).eps / 2
    largest = cosine.detach().amax(dim=1, keepdim=True) if instance_margin == 'hard' else None

    def move(own: Tensor) -> tuple[Tensor, Tensor | None]:
        """Value and slope of the target's cosine with the margin."""
        c = _within(own)
        margin = class_margin.to(c.dtype)[index]
        fall = torch.zeros_like(c)  # -dm/dc
        if instance_margin != 'none':
            fall = margin * (instance_weight / 2)
            if largest is not None:
                fall = fall * (own < largest)
            margin = torch.addcmul(margin, fall, 1 - c)
        return _rotate(c, margin, fall, tiny)

    moved = _target_moved if class_margin.requires_grad else _move_target
    return moved(cosine, index, move=move, scale=scale)


def ldam_logits(
    cosine: Tensor, target: Tensor, class_margin: Tensor, scale: float = 30.0
) -> Tensor:
    r"""Scaled cosines with a margin subtracted from the target's.

    .. math:: z_y = s (\cos\theta_y - m_y), \quad z_k = s \cos\theta_k \; (k \ne y)

    Args:
        cosine: Cosines of features and class vectors. Half and bfloat16 are computed in float32.
        target: Class labels (int64, in [0, K)). Soft labels have no one target and are refused.
        class_margin: m, in units of the cosine, >= 0, e.g. of :func:`ldam_class_margin`. A
            constant one is CosFace.
        scale: s, > 0.

    Shape:
        cosine (N, K); target (N,); class_margin (K,); returns logits (N, K).

    Raises:
        ValueError: A shape that does not fit, or ``scale`` not positive.
        TypeError: A dtype that does not fit.

    Source:
        DBM, table 1; Cao et al. (2019, LDAM), whose default scale is kept; CosFace (Wang et al.,
        2018).

    Example:
        >>> cosine = torch.tensor([[0.5, 0.6], [0.5, 0.6]])
        >>> ldam_logits(cosine, torch.tensor([0, 1]), torch.tensor([0.2, 0.1]), scale=10.0)
        tensor([[3., 6.],
                [5., 5.]])
        >>> cosface = torch.full((2,), 0.4)
        >>> ldam_logits(cosine, torch.tensor([0, 1]), cosface, scale=10.0)
        tensor([[1.0000, 6.0000],
                [5.0000, 2.0000]])
    """
    _check_logits(cosine, target, class_margin, scale)
    index = target.unsqueeze(1)

    def move(own: Tensor) -> tuple[Tensor, None]:
        """The target's cosine with the margin, of slope 1."""
        own = upcast(own)
        return own - class_margin.to(own.dtype)[index], None

    moved = _target_moved if class_margin.requires_grad else _move_target
    return moved(cosine, index, move=move, scale=scale)


def sphere_face_logits(
    cosine: Tensor, target: Tensor, multiplier: int = 2, scale: float = 32.0
) -> Tensor:
    r"""Scaled cosines with the target's angle multiplied.

    .. math::
        z_y = s \, \psi(\theta_y), \quad \psi(\theta) = (-1)^k \cos(m \theta) - 2 k, \quad
        k = \lfloor m \theta / \pi \rfloor, \quad z_k = s \cos\theta_k \; (k \ne y)

    :math:`\psi` is :math:`\cos(m \theta)` up to :math:`\pi / m` and falls on behind it. As m is
    whole, :math:`\cos(m \theta)` is a polynomial of the cosine (Chebyshev's): no ``acos`` is in the
    gradient, which is finite at every angle.

    Args:
        cosine: Cosines of features and class vectors, in [-1, 1] but for rounding. Half and
            bfloat16 are computed in float32.
        target: Class labels (int64, in [0, K)). Soft labels have no one target and are refused.
        multiplier: m, a whole number >= 1; 1 is no margin.
        scale: s, > 0.

    Shape:
        cosine (N, K); target (N,); returns logits (N, K).

    Raises:
        ValueError: A shape that does not fit, ``multiplier`` no whole number >= 1, or ``scale`` not
            positive.
        TypeError: A dtype that does not fit.

    Source:
        DBM, table 1; Liu et al. (2017), eq. 7.

    Example:
        >>> sphere_face_logits(torch.tensor([[0.5, 0.1]]), torch.tensor([0]), scale=1.0)
        tensor([[-0.5000,  0.1000]])
    """
    check_multiplier(multiplier)
    _check_cosine(cosine, target, scale)
    index = target.unsqueeze(1)
    own = _within(cosine.gather(1, index))
    previous, power = torch.ones_like(own), own
    for _ in range(multiplier - 1):
        previous, power = power, 2 * own * power - previous
    turns = (multiplier * own.detach().acos() / math.pi).floor().clamp(max=multiplier - 1)
    value = (1 - 2 * (turns % 2)) * power - 2 * turns
    return scale * upcast(cosine).scatter(1, index, value)


def check_multiplier(multiplier: int) -> None:
    """Refuse a factor of the angle that is no whole number >= 1."""
    if isinstance(multiplier, bool) or not isinstance(multiplier, int) or multiplier < 1:
        raise ValueError(f'multiplier must be a whole number >= 1, got {multiplier!r}')


def check_instance_margin(instance_margin: str, instance_weight: float) -> None:
    """Refuse an instance-wise margin that :func:`dbm_logits` does not know; no shapes, no tensors.

    Raises:
        ValueError: An unknown name, or a negative or infinite weight.
    """
    check_choice('instance_margin', instance_margin, _INSTANCE_MARGINS)
    check_not_negative('instance_weight', instance_weight)


def _target_moved(cosine: Tensor, index: Tensor, move: Move, scale: float) -> Tensor:
    """``scale * cosine`` with ``scale * move(cosine)`` in the target's column; index (N, 1)."""
    value, _ = move(cosine.gather(1, index))
    return scale * upcast(cosine).scatter(1, index, value)


def _target_moved_forward(
    cosine: Tensor, index: Tensor, move: Move, scale: float
) -> tuple[Tensor, Kept]:
    value, slope = move(cosine.gather(1, index))
    return (scale * upcast(cosine)).scatter_(1, index, scale * value), (slope,)


def _target_moved_backward(
    grad: Tensor, needs: Any, tensors: Any, value: Tensor, kept: Any, move: Move, scale: float
) -> Gradients:
    cosine, index = tensors
    (slope,) = kept
    found = scale * grad
    if slope is not None:
        found.scatter_(1, index, found.gather(1, index).mul_(slope))
    return found.to(cosine.dtype), None


# One column of a row is touched: no copy of the matrix but the result and the gradient.
_move_target = closed_form(_target_moved, _target_moved_forward, _target_moved_backward)


def _within(cosine: Tensor) -> Tensor:
    """Cosines in [-1, 1], float32 or better."""
    cosine = upcast(cosine)
    inside = cosine.clamp(-1, 1)
    # Takes off what is too much. Exact near +-1; and the gradient of a plain clamp at its limits,
    # where a cosine often is, is 0 or 1 by the version of torch.
    return cosine - (cosine - inside).detach() if torch.is_grad_enabled() else inside


def _rotate(c: Tensor, m: Tensor, fall: Tensor, tiny: float) -> tuple[Tensor, Tensor | None]:
    """The two pieces of :func:`cos_plus_margin` and their slope, where m itself falls with c."""
    m = m.clamp(max=math.pi)
    # Below 1, the largest number of the dtype is 1 - tiny, with 1 - c^2 just under 2 tiny: only
    # +-1 feels the clamp, which is there to bound the slope of the square root. Autograd takes
    # half of that slope, d(x / sqrt(x)), so by hand the bound is a fourth.
    by_hand = not torch.is_grad_enabled()
    square = (1 - c) * (1 + c)
    root = square.clamp(min=tiny / 4 if by_hand else tiny).rsqrt()
    sin_theta = square * root
    cos_m, sin_m = m.cos(), m.sin()
    # <= 0 past pi. Not < 0: where a small margin's cosine rounds to 1, c = -1 is past pi as well.
    height = c + cos_m
    past = height <= 0
    value = torch.where(past, height - 1, torch.addcmul(c * cos_m, sin_theta, sin_m, value=-1))
    if not by_hand:
        return value, None
    along = c * sin_m
    slope = torch.addcmul(cos_m, along, root)
    slope.addcmul_(fall, torch.addcmul(along, sin_theta, cos_m))
    return value, torch.where(past, 1 + fall * sin_m, slope)


def _check_margin(name: str, value: float, limit: float) -> None:
    if not 0 <= value <= limit:
        raise ValueError(f'{name} must be in [0, {limit:.4g}], got {value}')


def _check_logits(cosine: Tensor, target: Tensor, class_margin: Tensor, scale: float) -> None:
    """Shapes and dtypes only: looking at values would wait for the GPU."""
    _check_cosine(cosine, target, scale)
    check_shape('class_margin', class_margin, cosine.shape[1])
    check_floating('class_margin', class_margin)


def _check_cosine(cosine: Tensor, target: Tensor, scale: float) -> None:
    check_shape('cosine', cosine, 'N', 'K')
    check_floating('cosine', cosine)
    check_labels('target', target, len(cosine), hint=_ONE_CLASS)
    check_positive('scale', scale)
