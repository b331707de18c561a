"""AdaptFormer: a narrow branch beside the feed-forward network of each block."""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.models.tuners.tuner import Tuner, blocks_of, norm_before_ffn


@MODELS.register_module()
class AdaptFormer(Tuner):
    r"""A bottleneck of r channels beside the feed-forward network of each block.

    .. math::
        x = h + \mathrm{FFN}(\mathrm{LN}(h)) +
            s \, \big(W_{up} \, \mathrm{ReLU}(W_{down} \, \mathrm{LN}_a(h) + b_{down}) + b_{up}\big)

    h is the block's state after attention. :math:`W_{up}` and both biases begin as 0, so the model
    begins as the frozen one, bit for bit; :math:`W_{down}` as torch's linear layers do.

    Args:
        width (int, optional): r >= 1. Defaults to None: LIFT's rule, :func:`adapter_width`.
        scale (float): The first value of s, which is learned, one for each block. Defaults to 1.0.
        num_classes (int, optional): For the rule; :class:`TunedClassifier` hands it over.

    Raises:
        ValueError: ``width`` below 1.
        TypeError: A backbone that is no vision transformer.

    Source:
        Chen et al., NeurIPS 2022; in the form of LIFT (Shi et al., ICML 2024), as released:
        a LayerNorm of its own, s learned.

    Example:
        >>> AdaptFormer(width=4).width
        4
    """

    wants = ('num_classes',)

    def __init__(
        self, width: int | None = None, scale: float = 1.0, num_classes: int | None = None
    ):
        super().__init__()
        if width is None and num_classes is None:
            raise ValueError('width must be an integer >= 1: without num_classes there is no rule')
        if width is not None and width < 1:
            raise ValueError(f'width must be >= 1, got {width}')
        self.width = width
        self.scale = scale
        self.num_classes = num_classes

    def attach(self, backbone: nn.Module) -> None:
        """Stand beside every block."""
        blocks = blocks_of(backbone)
        if self.width is None:
            self.width = adapter_width(self.num_classes, len(blocks))
        self.adapters = nn.ModuleList()
        for index, block in enumerate(blocks):
            norm = norm_before_ffn(block)
            adapter = _Adapter(len(norm.weight), self.width, self.scale)
            self.adapters.append(adapter)
            self.act_on(norm, f'norm of layers.{index}', before=adapter.see)
            self.act_on(block, f'layers.{index}', after=adapter.add)

    def extra_repr(self) -> str:
        """Describe the tuner in one line."""
        return f'width={self.width}'


class _Adapter(nn.Module):
    def __init__(self, channels: int, width: int, scale: float):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.down = nn.Linear(channels, width)
        self.up = nn.Linear(width, channels)
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)
        self._state = None

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        return self.scale * self.up(self.down(self.norm(state)).relu())

    def see(self, module, inputs) -> None:
        self._state = inputs[0]

    def add(self, module, inputs, output: torch.Tensor) -> torch.Tensor:
        state, self._state = self._state, None
        if state is None:
            raise ValueError(
                f'AdaptFormer needs the input of the norm before the feed-forward network, which '
                f'{type(module).__name__} does not call (as mmpretrain 1.2 has it in DeiT3): take '
                'another tuner'
            )
        return output + self(state)


def adapter_width(num_classes: int, num_blocks: int) -> int:
    r"""Width of the adapters: :math:`r = 2^{\lfloor \log_2 (K / 2L) \rfloor}`, at least 1.

    So that all adapters together have about as many parameters as the classifier.

    Args:
        num_classes (int): K.
        num_blocks (int): L.

    Source:
        LIFT, as released.

    Example:
        >>> [adapter_width(k, 12) for k in (100, 365, 1000, 8142)]
        [4, 8, 32, 256]
    """
    return max(1, 2 ** math.floor(math.log2(num_classes / (2 * num_blocks))))
