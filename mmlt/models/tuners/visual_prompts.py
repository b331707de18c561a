"""VPT: learned tokens among those of the image."""

import math

import torch
import torch.nn as nn
from mmpretrain.models.backbones import VisionTransformer, ViTEVA02
from mmpretrain.registry import MODELS

from mmlt.models.tuners.tuner import Tuner, blocks_of


@MODELS.register_module()
class VisualPrompts(Tuner):
    r"""Visual prompt tuning: P learned tokens after the class token.

    .. math:: [c, \; P, \; E] \to \text{block}

    Shallow: they enter before the first block and stay. Deep: each block gets tokens of its own in
    their place. After the last block they are gone. They begin as
    :math:`U(-v, v), \; v = \sqrt{6 / (3 p^2 + D)}` for patches of p x p pixels, so the model does
    **not** begin as the frozen one.

    Args:
        number (int): P >= 1. Defaults to 10.
        deep (bool): Tokens for each block. Defaults to True (VPT-deep); False is VPT-shallow.

    Raises:
        ValueError: ``number`` below 1; a backbone with several outputs.
        TypeError: A backbone whose attention knows the places of its tokens (BEiT, EVA-02), or
            that is no ``VisionTransformer``.

    Source:
        Jia et al., ECCV 2022.

    Example:
        >>> VisualPrompts(number=5, deep=False).extra_repr()
        'number=5, deep=False'
    """

    def __init__(self, number: int = 10, deep: bool = True):
        super().__init__()
        if number < 1:
            raise ValueError(f'number must be >= 1, got {number}')
        self.number = number
        self.deep = deep

    def attach(self, backbone: nn.Module) -> None:
        """Stand before the blocks, and after the last."""
        if not isinstance(backbone, VisionTransformer) or isinstance(backbone, ViTEVA02):
            raise TypeError(
                'VisualPrompts needs a VisionTransformer without positions in its attention, got '
                f'{type(backbone).__name__}'
            )
        blocks = blocks_of(backbone)
        if list(backbone.out_indices) != [len(blocks) - 1]:
            raise ValueError(
                f'VisualPrompts needs out_indices=-1, got {list(backbone.out_indices)}: the '
                'features of other blocks would have prompts among them'
            )
        depth, channels = len(blocks) if self.deep else 1, backbone.embed_dims
        patch = math.prod(backbone.patch_embed.projection.kernel_size)
        bound = math.sqrt(6 / (3 * patch + channels))
        self.place = backbone.num_extra_tokens if backbone.cls_token is not None else 0
        self.prompts = nn.Parameter(torch.empty(depth, self.number, channels))
        nn.init.uniform_(self.prompts, -bound, bound)
        for index, block in enumerate(blocks[:depth]):
            self.act_on(block, f'layers.{index}', before=_Entry(self, index).enter)
        self.act_on(blocks[-1], f'end of layers.{len(blocks) - 1}', after=self.leave)

    def enter(self, index: int, tokens: torch.Tensor) -> torch.Tensor:
        """Put a block's prompts (P, D) among tokens (B, L, D), in place of the last block's."""
        prompts = self.prompts[index].to(tokens.dtype).expand(tokens.shape[0], -1, -1)
        first = self.place
        after = first if index == 0 else first + self.number
        return torch.cat([tokens[:, :first], prompts, tokens[:, after:]], dim=1)

    def leave(self, module, inputs, output: torch.Tensor) -> torch.Tensor:
        """Take the prompts out."""
        return torch.cat([output[:, : self.place], output[:, self.place + self.number :]], dim=1)

    def extra_repr(self) -> str:
        """Describe the tuner in one line."""
        return f'number={self.number}, deep={self.deep}'


class _Entry:
    """The way into one block; its method is a hook that can be copied."""

    def __init__(self, tuner: VisualPrompts, index: int):
        self.tuner, self.index = tuner, index

    def enter(self, module, inputs):
        return (self.tuner.enter(self.index, inputs[0]), *inputs[1:])
