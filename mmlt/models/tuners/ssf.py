"""SSF: a scale and a shift after every operation."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.models.tuners.tuner import Tuner, blocks_of


@MODELS.register_module()
class SSF(Tuner):
    r"""Scale and shift the channels of each layer's output: :math:`y' = \gamma \odot y + \beta`.

    After every linear layer, LayerNorm and convolution of the backbone, :math:`\gamma = 1` and
    :math:`\beta = 0` at first, so that the model begins as the frozen one. (The released code
    draws both with a deviation of 0.02.)

    Raises:
        ValueError: A layer that the backbone never calls (at the first batch).
        TypeError: A backbone that is no vision transformer.

    Source:
        Lian et al., NeurIPS 2022.

    Example:
        >>> from mmpretrain.models import VisionTransformer
        >>> ssf = SSF()
        >>> ssf.attach(VisionTransformer(arch='deit-tiny', img_size=32))
        >>> len(ssf.layers)  # 12 blocks of six, patches, the last norm
        74
    """

    def attach(self, backbone: nn.Module) -> None:
        """Stand after every layer."""
        blocks_of(backbone)
        self.layers = nn.ModuleDict()
        for name, module in backbone.named_modules():
            if isinstance(module, nn.Linear | nn.LayerNorm | nn.Conv2d):
                layer = _ScaleShift(module)
                self.layers[name.replace('.', '-')] = layer
                self.act_on(module, name, after=layer.change)

    @torch.no_grad()
    def fold(self, backbone: nn.Module) -> None:
        """Fold scales and shifts into weights and biases.

        Raises:
            ValueError: A layer without a bias to take the shift.
        """
        modules = {n: backbone.get_submodule(n.replace('-', '.')) for n in self.layers}
        bare = [name for name, module in modules.items() if module.bias is None]
        if bare:
            raise ValueError(
                f'SSF cannot be folded into {bare[0].replace("-", ".")}: it has no bias to take '
                'the shift; publish or export the model with it'
            )
        for name, module in modules.items():
            layer = self.layers[name]
            rest = module.weight.dim() - 1
            module.weight *= layer.scale.view(-1, *[1] * rest)
            module.bias.copy_(layer.scale * module.bias + layer.shift)


class _ScaleShift(nn.Module):
    def __init__(self, module: nn.Module):
        super().__init__()
        channels = module.weight.shape[0]
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.rest = 2 if isinstance(module, nn.Conv2d) else 0  # dimensions after the channels

    def change(self, module, inputs, output: torch.Tensor) -> torch.Tensor:
        shape = (-1, *[1] * self.rest)
        return output * self.scale.view(shape) + self.shift.view(shape)
