"""An optimizer that holds what is trained, and nothing else."""

import torch.nn as nn
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainedParametersConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor without parameters that are frozen when the run begins.

    mmengine's hands them to the optimizer too, where nothing happens to them for want of a
    gradient; but they stand in its groups, its checkpoints and the logs.

    Raises:
        ValueError: Nothing is trained.

    Example:
        ``optim_wrapper = dict(constructor='TrainedParametersConstructor', optimizer=...)``
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer wrapper of a model."""
        wrapper = super().__call__(model)
        groups = wrapper.optimizer.param_groups
        for group in groups:
            group['params'] = [p for p in group['params'] if p.requires_grad]
        groups[:] = [group for group in groups if group['params']]
        if not groups:
            raise ValueError('TrainedParametersConstructor: all parameters of the model are frozen')
        return wrapper
