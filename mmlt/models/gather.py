"""Rows of all processes, in one order on all of them."""

import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size


@torch.no_grad()
def gather_rows(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Concatenate each tensor's rows over the processes, rank 0 first; no gradient.

    Args:
        *tensors (Tensor): (N, ...) each; the same N within a process, any N on another one.

    Shape:
        (N, ...) -> (N_0 + N_1 + ..., ...), the same on every process.
    """
    if get_world_size() == 1:
        return tensors
    sizes = _row_counts(tensors[0])
    return tuple(_gather(tensor, sizes) for tensor in tensors)


def gather_rows_with_gradient(tensor: torch.Tensor) -> torch.Tensor:
    """Concatenate the rows over the processes; each row's gradient goes back to where it is from.

    The gradients of all processes are added up. Where every process computes the same loss of the
    joined batch, DDP's mean over the processes is then the gradient of that loss.

    Shape:
        (N, ...) -> (N_0 + N_1 + ..., ...), the same on every process.
    """
    return tensor if get_world_size() == 1 else _GatherRows.apply(tensor)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        sizes = _row_counts(tensor)
        ctx.first, ctx.size = sum(sizes[: get_rank()]), len(tensor)
        return _gather(tensor, sizes)

    @staticmethod
    def backward(ctx, grad):
        grad = grad.clone(memory_format=torch.contiguous_format)
        all_reduce(grad)
        return grad[ctx.first : ctx.first + ctx.size]


def _row_counts(tensor: torch.Tensor) -> list[int]:
    return torch.cat(all_gather(torch.tensor([len(tensor)], device=tensor.device))).tolist()


def _gather(tensor: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    # Collectives want the same shape everywhere, and the last batches may differ in size.
    padded = tensor.new_zeros((max(sizes), *tensor.shape[1:]))
    padded[: len(tensor)] = tensor
    return torch.cat([part[:size] for part, size in zip(all_gather(padded), sizes)])
