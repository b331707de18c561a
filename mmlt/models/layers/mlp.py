"""The small network in front of every contrast."""

import torch.nn as nn


def mlp(in_channels: int, hidden_channels: int, out_channels: int, norm: bool = False):
    """Linear-ReLU-Linear, with a BatchNorm before the ReLU if ``norm``; rows (N, D) -> (N, d).

    Example:
        >>> [type(layer).__name__ for layer in mlp(64, 512, 128, norm=True)]
        ['Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        *([nn.BatchNorm1d(hidden_channels)] if norm else []),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, out_channels),
    )
