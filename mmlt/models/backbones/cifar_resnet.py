"""The small residual networks of the CIFAR long-tail literature (ResNet-20/32/44/56)."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS


class _Block(BaseModule):
    """Two 3x3 convolutions; the shortcut has no weights (option A of He et al.)."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - in_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.stride != 1 or self.new_channels:
            # Option A: every second pixel, the new channels are zeros on both sides.
            before = self.new_channels // 2
            x = x[:, :, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, before, self.new_channels - before))
        return F.relu(out + x)


@MODELS.register_module()
class CifarResNet(BaseModule):
    """ResNet for 32x32 images: three stages of 16, 32 and 64 channels, (depth - 2) / 6 blocks each.

    Not to be confused with mmpretrain's ``ResNet_CIFAR``, which is an ImageNet ResNet (64 to 512
    channels) with a small stem.

    Args:
        depth (int): 20, 32, 44 or 56.
        width (int): Multiplies the channels; 4 gives the ResNet-32x4 of some papers. Defaults to 1.
        in_channels (int): Channels of the image. Defaults to 3.
        out_indices (Sequence[int]): Stages to return, of 0, 1, 2. Defaults to ``(2, )``.
        init_cfg (dict | list, optional): Defaults to Kaiming normal for the convolutions.

    Shape:
        (N, in_channels, H, W) -> tuple of (N, 16 * width * 2^i, H / 2^i, W / 2^i).

    Source:
        He et al. 2016, section 4.2, with option A shortcuts; the network of LDAM, BCL and DBM.

    Example:
        >>> CifarResNet(20)(torch.rand(2, 3, 32, 32))[0].shape
        torch.Size([2, 64, 8, 8])
    """

    depths = (20, 32, 44, 56)

    def __init__(
        self,
        depth: int,
        width: int = 1,
        in_channels: int = 3,
        out_indices: tuple[int, ...] = (2,),
        init_cfg: dict | list | None = None,
    ):
        if depth not in self.depths:
            raise ValueError(f'depth must be one of {self.depths}, got {depth}')
        if not isinstance(width, int) or width < 1:
            raise ValueError(f'width must be a positive integer, got {width}')
        if isinstance(out_indices, int) or not out_indices or not set(out_indices) <= {0, 1, 2}:
            raise ValueError(f'out_indices must be stages of (0, 1, 2), got {out_indices}')
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d', mode='fan_in'))
        self.out_indices = tuple(out_indices)
        channels = 16 * width
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.stages = nn.ModuleList()
        for index in range(3):
            out_channels = 16 * width * 2**index
            blocks = []
            for number in range((depth - 2) // 6):
                stride = 2 if index > 0 and number == 0 else 1
                blocks.append(_Block(channels, out_channels, stride))
                channels = out_channels
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the feature maps of the stages in ``out_indices``."""
        x = F.relu(self.bn1(self.conv1(x)))
        outs = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)
