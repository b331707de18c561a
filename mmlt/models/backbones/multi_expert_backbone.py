"""M experts side by side: whole copies of a backbone, or copies of its last stages."""

import torch
import torch.nn as nn
from mmengine.model import BaseModule, ModuleList
from mmpretrain.models.backbones import ResNet
from mmpretrain.registry import MODELS

from mmlt.models.backbones.cifar_resnet import CifarResNet
from mmlt.models.build import build_part


@MODELS.register_module()
class MultiExpertBackbone(BaseModule):
    """M copies of a backbone with random starts of their own, for :class:`ExpertsHead`.

    Every expert sees the same image. ``GlobalAveragePooling`` follows as after any backbone: it
    pools each item of the tuple.

    With ``shared_stages`` the stem and the first stages are there once, and their output goes to
    all experts. ``shared`` and ``experts`` are then the stock backbone, with ``nn.Identity`` for
    the stages that are not theirs.

    Args:
        backbone (dict): Config of any backbone of mmpretrain or mmlt. An ``init_cfg`` with a
            checkpoint gives all experts the same start: they then differ by their heads alone.
        num_experts (int): M, >= 1. Defaults to 3.
        shared_stages (int): How many stages the experts share, beside the stem. Defaults to 0:
            nothing is shared, the stem neither. For ``CifarResNet`` and mmpretrain's ``ResNet`` and
            its relatives (ResNeXt, RegNet, ResNet_CIFAR, ...).
        init_cfg (dict | list, optional): Of the whole; the copies have their own.

    Shape:
        (N, 3, H, W) -> M features, each the last that a ``backbone`` gives.

    Raises:
        ValueError: ``num_experts`` below 1; ``shared_stages`` that leave an expert no stage.
        TypeError: ``shared_stages`` of a backbone that has no named stages.

    Source:
        NCL (Li et al., CVPR 2022): whole copies. RIDE (Wang et al., ICLR 2021) and BalPoE (Aimar et
        al., CVPR 2023): the first stages shared; their narrower last stages are not offered.

    Example:
        >>> model = MultiExpertBackbone(dict(type='CifarResNet', depth=20), shared_stages=2)
        >>> [tuple(x.shape) for x in model(torch.rand(2, 3, 32, 32))]
        [(2, 64, 8, 8), (2, 64, 8, 8), (2, 64, 8, 8)]
    """

    def __init__(
        self,
        backbone: dict,
        num_experts: int = 3,
        shared_stages: int = 0,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg)
        if isinstance(backbone, nn.Module):
            raise TypeError(
                f'backbone must be a config, got a module, {type(backbone).__name__}: each expert '
                'is built from it anew'
            )
        _check_integer('num_experts', num_experts, 1)
        _check_integer('shared_stages', shared_stages, 0)
        self.num_experts = num_experts
        self.shared = None
        if shared_stages:
            self.shared = build_part(backbone)
            names = _stages(self.shared)
            if shared_stages >= len(names):
                raise ValueError(
                    f'shared_stages must be below the {len(names)} stages of '
                    f'{type(self.shared).__name__}, got {shared_stages}: an expert has to have one'
                )
            _replace(self.shared, names[shared_stages:])
            self.shared.out_indices = (shared_stages - 1,)
        self.experts = ModuleList(build_part(backbone) for _ in range(num_experts))
        if shared_stages:
            for expert in self.experts:
                own = {name.split('.')[0] for name in names[shared_stages:]}
                stem = [name for name, _ in expert.named_children() if name not in own]
                _replace(expert, list(dict.fromkeys([*stem, *names[:shared_stages]])))
                expert.out_indices = (len(names) - 1,)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the last features of each expert."""
        if self.shared is not None:
            # What follows of a stem is a ReLU, which changes nothing after another.
            x = self.shared(x)[-1]
        return tuple(expert(x)[-1] for expert in self.experts)


def _stages(backbone: nn.Module) -> list[str]:
    """Names of the stages of a residual network, whose ``forward`` is stem, then stages."""
    if isinstance(backbone, CifarResNet):
        return [f'stages.{i}' for i in range(len(backbone.stages))]
    if isinstance(backbone, ResNet) and hasattr(backbone, 'res_layers'):
        return list(backbone.res_layers)
    raise TypeError(
        'shared_stages needs a CifarResNet or a relative of mmpretrain.ResNet, got '
        f'{type(backbone).__name__}: shared_stages=0 gives each expert a whole one'
    )


def _replace(backbone: nn.Module, names: list[str]) -> None:
    for name in names:
        if not isinstance(backbone.get_submodule(name), nn.ModuleList):
            backbone.set_submodule(name, nn.Identity())


def _check_integer(name: str, value, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f'{name} must be an integer >= {minimum}, got {value!r}')
