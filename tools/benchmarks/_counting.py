"""Counts that do not depend on the machine: kernels that a step starts, bytes that it holds."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Operations that start no kernel: they make room, or look at a tensor in another way.
_NO_KERNEL = {
    'empty', 'empty_like', 'new_empty', 'empty_strided', 'new_empty_strided', 'detach', 'alias',
    'lift_fresh', 'is_same_size', 'resize_', 'set_', '_unsafe_view', 'scalar_tensor',
    '_local_scalar_dense', 'record_stream', '_reshape_alias', 'prim.device',
}  # fmt: skip


class StepCounter(TorchDispatchMode):
    """Counts kernels and the largest number of bytes that are alive at a time.

    A kernel is an operation that reads or writes elements, as eager PyTorch starts one a call
    (reductions and matrix products may take two on a GPU). Bytes are those of storages made within
    the context.

    Example:
        >>> with StepCounter() as counter:
        ...     _ = (torch.ones(10) * 2).sum()
        >>> counter.kernels
        3
    """

    def __init__(self):
        super().__init__()
        self.names = []
        self.alive = self.peak = 0
        self._known = set()

    @property
    def kernels(self) -> int:
        """Number of kernels."""
        return len(self.names)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.__name__.split('.')[0]
        if name not in _NO_KERNEL and not func.is_view:
            self.names.append(name)
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor):
                self._follow(value.untyped_storage(), args)
        return result

    def _follow(self, storage, args) -> None:
        key = storage.data_ptr()
        inputs = {x.untyped_storage().data_ptr() for x in args if isinstance(x, torch.Tensor)}
        if not key or key in self._known or key in inputs:
            return
        self._known.add(key)
        self.alive += storage.nbytes()
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size
