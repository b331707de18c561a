"""BitFit: the biases alone."""

import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.models.tuners.tuner import Tuner


@MODELS.register_module()
class BitFit(Tuner):
    """Train the biases of the backbone, those of its norms included, and nothing else of it.

    Source:
        Ben Zaken et al., ACL 2022.

    Example:
        >>> BitFit().trains('layers.0.attn.qkv.bias'), BitFit().trains('layers.0.attn.qkv.weight')
        (True, False)
    """

    def attach(self, backbone: nn.Module) -> None:
        """Refuse a backbone without biases."""
        if not any(self.trains(name) for name, _ in backbone.named_parameters()):
            raise ValueError(f'BitFit: {type(backbone).__name__} has no biases')

    def trains(self, name: str) -> bool:
        """Whether it is a bias; BEiT's are ``q_bias`` and ``v_bias``."""
        return name.rpartition('.')[2] in ('bias', 'q_bias', 'v_bias')

    def fold(self, backbone: nn.Module) -> None:
        """Do nothing: the biases are in the backbone."""
