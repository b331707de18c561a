"""Rows of all processes, in one order on all of them."""

import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size


def row_counts(tensor: torch.Tensor) -> list[int] | None:
    """Number of rows on each process, rank 0 first; None where there is one process.

    The one exchange of a step that waits for the device: :class:`Batch` makes it once and all slots
    share it.
    """
    if get_world_size() == 1:
        return None
    return torch.cat(all_gather(torch.tensor([len(tensor)], device=tensor.device))).tolist()


@torch.no_grad()
def gather_rows(counts: list[int] | None, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Concatenate each tensor's rows over the processes, rank 0 first; no gradient.

    Args:
        counts (list[int] | None): Of :func:`row_counts`.
        *tensors (Tensor): (N, ...) each; the same N within a process, any N on another one.

    Shape:
        (N, ...) -> (N_0 + N_1 + ..., ...), the same on every process.
    """
    return tensors if counts is None else tuple(_gather(tensor, counts) for tensor in tensors)


def gather_rows_with_gradient(counts: list[int] | None, tensor: torch.Tensor) -> torch.Tensor:
    """Concatenate the rows over the processes; each row's gradient goes back to where it is from.

    The gradients of all processes are added up. Where every process computes the same loss of the
    joined batch, DDP's mean over the processes is then the gradient of that loss.

    Shape:
        (N, ...) -> (N_0 + N_1 + ..., ...), the same on every process.
    """
    return tensor if counts is None else _GatherRows.apply(tensor, counts)


@torch.no_grad()
def shared_total(values: torch.Tensor) -> torch.Tensor:
    """Sum of values (N,), >= tiny, or with several processes N times the mean over all of them.

    A loss divided by it on each process is, after DDP's mean over the processes, divided by the sum
    over the joined batch.
    """
    total = values.sum()
    if get_world_size() > 1:
        mean = total / max(len(values), 1)
        all_reduce(mean, op='mean')
        total = mean * len(values)
    # A batch without weight has loss 0, not NaN.
    return total.clamp(min=torch.finfo(total.dtype).tiny)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor, counts):
        ctx.first, ctx.size = sum(counts[: get_rank()]), len(tensor)
        return _gather(tensor, counts)

    @staticmethod
    def backward(ctx, grad):
        grad = grad.clone(memory_format=torch.contiguous_format)
        all_reduce(grad)
        return grad[ctx.first : ctx.first + ctx.size], None


def _gather(tensor: torch.Tensor, counts: list[int]) -> torch.Tensor:
    # Collectives want the same shape everywhere, and the last batches may differ in size.
    padded = tensor.new_zeros((max(counts), *tensor.shape[1:]))
    padded[: len(tensor)] = tensor
    return torch.cat([part[:size] for part, size in zip(all_gather(padded), counts)])
