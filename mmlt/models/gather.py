"""Rows of all processes, in one order on all of them."""

import torch
from mmengine.dist import all_gather, get_world_size


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
    num_rows = tensors[0].shape[0]
    sizes = all_gather(torch.tensor([num_rows], device=tensors[0].device))
    sizes = torch.cat(sizes).tolist()
    padded_rows = max(sizes)
    gathered = []
    for tensor in tensors:
        # Collectives want the same shape everywhere, and the last batches may differ in size.
        padded = tensor.new_zeros((padded_rows, *tensor.shape[1:]))
        padded[:num_rows] = tensor
        parts = all_gather(padded)
        gathered.append(torch.cat([part[:size] for part, size in zip(parts, sizes)]))
    return tuple(gathered)
