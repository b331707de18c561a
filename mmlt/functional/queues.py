r"""A memory of several items a class: how many each class has, where a new one goes, how alike.

The items of all classes lie in one tensor (S, ...), class after class; each class is a ring of its
own, in which a new item takes the place of the oldest. No function here waits for the device.
"""

import torch
from torch import Tensor

from mmlt.functional.checks import (
    Counts,
    as_counts,
    check_bool,
    check_floating,
    check_labels,
    check_shape,
)
from mmlt.functional.numerics import upcast


def class_queue_sizes(class_counts: Counts, size: int, base: int) -> Tensor:
    r"""Slots of each class in a queue: some for every class, the rest by the prior.

    .. math::
        S_k = b_k - b_{k - 1}, \quad b_0 = 0, \quad
        b_k = \lceil base \cdot k + (S - K \, base) \sum_{i \le k} \pi_i \rceil

    Args:
        class_counts: Training images of each class, >= 1.
        size: S, the slots of all classes together.
        base: What every class has at least, >= 1.

    Shape:
        class_counts (K,); returns (K,) int64 on the CPU, with sum S.

    Raises:
        ValueError: Fewer slots than ``base`` for each class.

    Source:
        GML (Suh and Seo, ICML 2023), as released; here in exact integers.

    Example:
        >>> class_queue_sizes([90, 9, 1], size=20, base=2)
        tensor([15,  3,  2])
    """
    for name, value in (('size', size), ('base', base)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f'{name} must be a positive integer, got {value!r}')
    counts = [int(n) for n in as_counts(class_counts, 1).tolist()]
    least = base * len(counts)
    if size < least:
        raise ValueError(
            f'size must be at least {least}, {base} slots for each of {len(counts)} classes, got '
            f'{size}'
        )
    sizes: list[int] = []
    seen, before, total = 0, 0, sum(counts)
    for k, number in enumerate(counts, start=1):
        seen += number
        boundary = base * k - (-(size - least) * seen // total)
        sizes.append(boundary - before)
        before = boundary
    return torch.tensor(sizes)


@torch.no_grad()
def ring_slots(labels: Tensor, pointer: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Where the items of a batch go: the j-th of class c to slot (pointer_c + j) mod size_c of c.

    Where a batch has more items of a class than slots, the first of them are kept.

    Args:
        labels: Class labels in [0, K); an item with a label below 0 is not written.
        pointer: The slot of each class that is written next, counted from 0 within the class.
        sizes: Slots of each class, of :func:`class_queue_sizes`.

    Shape:
        labels (N,) int64, pointer (K,) and sizes (K,) int64; returns ``slots`` (N,), ``items``
        (N,) and the next pointer (K,): slot ``slots[i]`` of the queue is to hold item ``items[i]``
        of the batch, or to stay as it is where that is -1. Items that are not kept repeat what
        others say, so the order of writing does not matter.

    Raises:
        ValueError: Shapes that do not fit.
        TypeError: A dtype that does not fit.

    Source:
        GML, as released, without its loop over the images.

    Example:
        >>> sizes = torch.tensor([2, 1])
        >>> ring_slots(torch.tensor([0, 1, 1, 0]), torch.tensor([1, 0]), sizes)
        (tensor([1, 2, 2, 0]), tensor([0, 1, 1, 3]), tensor([1, 0]))
    """
    check_labels('labels', labels)
    check_labels('sizes', sizes)
    check_labels('pointer', pointer, len(sizes))
    if len(labels) == 0:
        return labels, labels, pointer
    position = torch.arange(len(labels), device=labels.device)
    classes = labels.clamp(min=0)
    counted = labels >= 0
    # How many of its class come before it.
    same = (labels.unsqueeze(1) == labels) & counted
    rank = (same & (position.unsqueeze(1) > position)).sum(1)
    first = sizes.cumsum(0) - sizes
    own = sizes.gather(0, classes)
    slots = first.gather(0, classes) + (pointer.gather(0, classes) + rank) % own
    # The first item that asks for a slot gets it; what is not counted asks for none.
    asks = (slots.unsqueeze(1) == slots) & counted
    items = torch.where(asks.any(1), asks.to(torch.uint8).argmax(1), -1)
    written = torch.zeros_like(pointer).scatter_add_(0, classes, counted.to(pointer.dtype))
    return slots, items, (pointer + torch.minimum(written, sizes)) % sizes


def class_log_means(
    similarity: Tensor, slot_classes: Tensor, sizes: Tensor, excluded: Tensor | None = None
) -> Tensor:
    r"""Logarithm of the mean, over the slots of each class, of the exponential similarities.

    .. math:: \log S_{ic} = \log \frac{1}{|Q_c|} \sum_{j \in Q_c} e^{s_{ij}}

    The mean, not the sum: how many slots a class has must not act as a prior. Where ``excluded``
    would leave a class no slot at all, it is without effect for that sample and class.

    Args:
        similarity: s, of each sample to each slot, divided by the temperature. Half and bfloat16
            become float32.
        slot_classes: The class of each slot, in [0, K).
        sizes: The slots of each class, >= 1.
        excluded: Slots that a sample does not see.

    Shape:
        similarity (N, S), slot_classes (S,) int64, sizes (K,) int64, excluded (N, S) bool; returns
        (N, K).

    Raises:
        ValueError: Shapes that do not fit.
        TypeError: A dtype that does not fit.

    Source:
        GML (Suh and Seo, ICML 2023), the class likelihood, as released.

    Example:
        >>> similarity = torch.tensor([[0.0, 2.0, 1.0]])
        >>> classes, sizes = torch.tensor([0, 0, 1]), torch.tensor([2, 1])
        >>> class_log_means(similarity, classes, sizes)  # log((1 + e^2) / 2), 1
        tensor([[1.4338, 1.0000]])
    """
    check_shape('similarity', similarity, 'N', 'S')
    check_floating('similarity', similarity)
    check_labels('slot_classes', slot_classes, similarity.shape[1])
    check_labels('sizes', sizes)
    similarity = upcast(similarity)
    n, k = len(similarity), len(sizes)
    index = slot_classes.expand(n, -1)
    count = sizes.to(similarity.dtype)
    if excluded is not None:
        check_shape('excluded', excluded, *similarity.shape)
        check_bool('excluded', excluded)
        gone = similarity.new_zeros(n, k).scatter_add_(1, index, excluded.to(similarity.dtype))
        # A class of which nothing would be left keeps what it has.
        gone = torch.where(gone < count, gone, 0.0)
        excluded = excluded & (gone.gather(1, index) > 0)
        similarity = similarity.masked_fill(excluded, float('-inf'))
        count = count - gone
    # The largest of each class comes off first: a class far below the others keeps its digits.
    top = similarity.detach().new_full((n, k), float('-inf'))
    top.scatter_reduce_(1, index, similarity.detach(), 'amax')
    powers = (similarity - top.gather(1, index)).exp()
    total = powers.new_zeros(n, k).scatter_add(1, index, powers)
    return top + total.log() - count.log()
