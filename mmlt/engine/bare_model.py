"""The model of a runner, without the wrapper that several processes need."""

from mmengine.model import is_model_wrapper
from torch import nn


def bare_model(runner) -> nn.Module:
    """Return ``runner.model``, or the module inside it if it is wrapped (DDP)."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
