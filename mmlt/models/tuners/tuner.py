"""What trains a few parameters in and beside the blocks of a frozen vision transformer."""

from abc import ABC, abstractmethod

import torch.nn as nn


class Tuner(nn.Module, ABC):
    """Base of what :class:`TunedClassifier` trains instead of its backbone.

    A tuner's own parameters stand under ``tuner.`` in the state dict. It acts by forward hooks, so
    the backbone keeps its names and takes any checkpoint made for it. A hook is a method of a
    module, not a closure: a deep copy of the model, such as an EMA's, has hooks of its own.

    Subclasses say in :meth:`attach` where they act.

    Example:
        >>> class Shift(Tuner):
        ...     def attach(self, backbone):
        ...         self.shift = nn.Parameter(torch.zeros(backbone.embed_dims))
        ...         self.act_on(backbone.patch_embed, 'patch_embed', self.add)
        ...     def add(self, module, images, output):
        ...         return output[0] + self.shift, output[1]
    """

    def __init__(self):
        super().__init__()
        self._handles = []
        self._silent = set()  # names of parts that have not been called yet

    @abstractmethod
    def attach(self, backbone: nn.Module) -> None:
        """Make the parameters that fit the backbone, and act on its parts."""

    def trains(self, name: str) -> bool:
        """Whether a parameter of the backbone itself, given by name, is trained."""
        return False

    def fold(self, backbone: nn.Module) -> None:
        """Write what was learned into the backbone's weights, without gradient."""
        raise ValueError(
            f'{type(self).__name__} cannot be folded into the weights of the backbone: publish or '
            'export the model with it'
        )

    def act_on(self, module: nn.Module, name: str, after=None, before=None) -> None:
        """Call ``before(module, inputs)`` and ``after(module, inputs, output)`` around a part."""
        self._silent.add(name)
        marker = _Heard(self, name)
        self._handles.append(module.register_forward_hook(marker.note))
        if before is not None:
            self._handles.append(module.register_forward_pre_hook(before))
        if after is not None:
            self._handles.append(module.register_forward_hook(after))

    def check_heard(self) -> None:
        """Refuse parts of the backbone that have run without calling the tuner."""
        if self._silent:
            name = min(self._silent)
            raise ValueError(
                f'{type(self).__name__} has no effect on {len(self._silent)} parts of the '
                f'backbone, such as {name}: it computes with their weights without calling them. '
                'Take another tuner, or other targets'
            )

    def let_go(self) -> None:
        """Act no more."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._silent.clear()


class _Heard:
    """Notes the first call of a part; a method of it is a hook that can be copied."""

    def __init__(self, tuner: Tuner, name: str):
        self.silent, self.name = tuner._silent, name

    def note(self, module, inputs, output) -> None:
        if self.silent:
            self.silent.discard(self.name)


def blocks_of(backbone: nn.Module) -> nn.ModuleList:
    """The transformer blocks of a vision transformer of mmpretrain.

    Raises:
        TypeError: A backbone of another kind.

    Example:
        >>> from mmpretrain.models import VisionTransformer
        >>> len(blocks_of(VisionTransformer(arch='deit-tiny', img_size=32)))
        12
    """
    for name in ('layers', 'encoder'):
        blocks = getattr(backbone, name, None)
        if isinstance(blocks, nn.ModuleList) and len(blocks) and hasattr(blocks[0], 'attn'):
            if type(backbone).__name__ == 'RevVisionTransformer':
                break
            return blocks
    raise TypeError(
        'a tuner needs a vision transformer of mmpretrain with one stream of blocks, such as '
        f'VisionTransformer, BEiTViT, ViTEVA02 or T2T_ViT, got {type(backbone).__name__}'
    )


def norm_before_ffn(block: nn.Module) -> nn.Module:
    """The norm of a block whose input is the state after attention."""
    return block.ln2 if hasattr(block, 'ln2') else block.norm2
