"""LoRA: a product of two thin matrices beside a linear layer."""

from collections.abc import Sequence

import torch
import torch.nn as nn
from mmpretrain.models.peft.lora import LoRALinear
from mmpretrain.registry import MODELS

from mmlt.models.tuners.tuner import Tuner, blocks_of


@MODELS.register_module()
class LoRA(Tuner):
    r"""Low-rank change of linear layers: :math:`y = W x + b + \frac{\alpha}{r} B A x`.

    The thin layers are mmpretrain's ``LoRALinear``, which begins with B = 0: the model begins as
    the frozen one. mmpretrain's ``LoRAModel`` renames the layers of the backbone; here they keep
    their names.

    Args:
        rank (int): r >= 1. Defaults to 4.
        alpha (float, optional): :math:`\alpha > 0`. Defaults to None: r, so that the factor is 1.
        targets (Sequence[str]): Ends of the names of the linear layers. Defaults to
            ``('attn.qkv', 'attn.proj')``.
        drop_rate (float): Dropout before A, in [0, 1). Defaults to 0.0.

    Raises:
        ValueError: An argument outside its range; a target that is no linear layer; a layer that
            the backbone never calls, such as BEiT's ``attn.qkv`` (at the first batch).
        TypeError: A backbone that is no vision transformer.

    Source:
        Hu et al., ICLR 2022.

    Example:
        >>> LoRA(rank=8).alpha
        8
    """

    def __init__(
        self,
        rank: int = 4,
        alpha: float | None = None,
        targets: Sequence[str] = ('attn.qkv', 'attn.proj'),
        drop_rate: float = 0.0,
    ):
        super().__init__()
        if rank < 1:
            raise ValueError(f'rank must be >= 1, got {rank}')
        if alpha is not None and not alpha > 0:
            raise ValueError(f'alpha must be > 0, got {alpha}')
        if isinstance(targets, str) or not targets:
            raise ValueError(f'targets must be a list of ends of names, got {targets!r}')
        self.rank = rank
        self.alpha = rank if alpha is None else alpha
        self.targets = tuple(targets)
        self.drop_rate = drop_rate

    def attach(self, backbone: nn.Module) -> None:
        """Stand beside every target."""
        blocks_of(backbone)
        linear = {n: m for n, m in backbone.named_modules() if isinstance(m, nn.Linear)}
        self.pairs = nn.ModuleDict()
        for target in self.targets:
            found = [name for name in linear if f'.{name}'.endswith(f'.{target}')]
            if not found:
                raise ValueError(
                    f'targets: no linear layer of {type(backbone).__name__} ends in {target!r}, it '
                    f'has {_ends(linear)}'
                )
            for name in found:
                pair = _Pair(linear[name], self.alpha, self.rank, self.drop_rate)
                self.pairs[name.replace('.', '-')] = pair
                self.act_on(linear[name], name, after=pair.add)

    @torch.no_grad()
    def fold(self, backbone: nn.Module) -> None:
        """Add the products to the weights."""
        for name, pair in self.pairs.items():
            weight = backbone.get_submodule(name.replace('-', '.')).weight
            weight += pair.scaling * (pair.lora_up.weight @ pair.lora_down.weight)

    def extra_repr(self) -> str:
        """Describe the tuner in one line."""
        return f'rank={self.rank}, alpha={self.alpha}, targets={self.targets}'


class _Pair(LoRALinear):
    """The thin layers alone; the layer beside which they stand belongs to the backbone."""

    def __init__(self, layer: nn.Linear, alpha: float, rank: int, drop_rate: float):
        super().__init__(layer, alpha, rank, drop_rate)
        del self.original_layer

    def add(self, module, inputs, output: torch.Tensor) -> torch.Tensor:
        return output + self.lora_up(self.lora_down(self.lora_dropout(inputs[0]))) * self.scaling


def _ends(names) -> list[str]:
    return sorted({name.rpartition('layers.')[2].partition('.')[2] or name for name in names})[:8]
