"""Linear probing: nothing of the backbone is trained."""

import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.models.tuners.tuner import Tuner


@MODELS.register_module()
class LinearProbe(Tuner):
    """Train the head on frozen features: what every tuner has to beat.

    Example:
        >>> sum(p.numel() for p in LinearProbe().parameters())
        0
    """

    def attach(self, backbone: nn.Module) -> None:
        """Do nothing."""

    def fold(self, backbone: nn.Module) -> None:
        """Do nothing."""
