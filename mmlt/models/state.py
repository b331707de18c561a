"""What a module remembers: memories, and copies that follow its weights."""

import copy
import logging

import torch
import torch.nn as nn
from mmengine.logging import print_log


def state(tensor: torch.Tensor) -> nn.Parameter:
    """A tensor that a module remembers, equal on all processes.

    A parameter without gradient rather than a buffer: it is in the state dict and moves with the
    module, but neither DDP's buffer broadcast nor mmengine's SyncBuffersHook, which averages all
    buffers over the processes, can touch what is already equal on all of them. It must be of a
    floating type: mmengine takes the mean of every parameter when it initialises the weights.

    Example:
        >>> state(torch.zeros(2)).requires_grad
        False
    """
    return nn.Parameter(tensor, requires_grad=False)


class MomentumCopy(nn.Module):
    r"""A copy of a module whose parameters follow the module's.

    .. math:: \bar w \leftarrow \alpha \bar w + (1 - \alpha) w

    The first update makes it equal, buffers included: weights that were initialised or loaded
    after the copy was made count. BatchNorm's statistics are the copy's own from then on.

    Args:
        source (Module): What is copied.

    Example:
        >>> source = nn.Linear(2, 1, bias=False)
        >>> follower = MomentumCopy(source)
        >>> _ = nn.init.ones_(source.weight)
        >>> follower.update(source, 0.9)
        >>> _ = nn.init.zeros_(source.weight)
        >>> follower.update(source, 0.9)
        >>> follower.module.weight
        Parameter containing:
        tensor([[0.9000, 0.9000]])
    """

    def __init__(self, source: nn.Module):
        super().__init__()
        self.module = copy.deepcopy(source).requires_grad_(False)
        self.updates = state(torch.zeros(()))

    @torch.no_grad()
    def update(self, source: nn.Module, momentum: float) -> None:
        """Follow the parameters of ``source`` by one step."""
        first = self.updates == 0
        # A tensor, so that nobody asks the device whether this is the first time.
        weight = torch.where(first, 1.0, 1.0 - momentum)
        for own, other in zip(self.module.parameters(), source.parameters()):
            own.lerp_(other, weight.to(own.dtype))
        for own, other in zip(self.module.buffers(), source.buffers()):
            own.copy_(torch.where(first, other, own))
        self.updates += 1

    def forward(self, *args):
        """Call the copy, without gradient."""
        with torch.no_grad():
            return self.module(*args)


_said = set()


def say_once(line: str, level: int = logging.INFO) -> None:
    """Log a line about what is built or loaded, once a process.

    A run loads its checkpoint more than once: to see whether it fits, and then in earnest.
    """
    if line not in _said:
        _said.add(line)
        print_log(line, logger='current', level=level)
