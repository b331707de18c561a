"""A linear classifier with one learned factor a class."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.registry import MODELS


@MODELS.register_module()
class ScaledLinear(nn.Linear):
    r"""Learnable weight scaling (LWS): :math:`s_k = f_k (w_k^T x + b_k)`, f learned.

    A trained linear classifier goes on as it is, with all factors 1; the second stage then learns
    the factors alone (``ClassifierRetrainingHook(trained='classifier.scale')``). tau-normalisation
    is the special case :math:`f_k = \|w_k\|^{-\tau}` without a bias.

    Args:
        in_features (int): Width D of the features.
        out_features (int): Number of classes K.
        bias (bool): Whether each class has a bias. Defaults to True.

    Shape:
        features (N, D) -> logits (N, K).

    Source:
        Kang et al. 2020 (Decoupling), section 4, with the bias scaled too.

    Example:
        >>> layer = ScaledLinear(64, 10)
        >>> layer(torch.rand(2, 64)).shape
        torch.Size([2, 10])
    """

    wants = ('in_features', 'out_features')

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__(in_features, out_features, bias)
        self.scale = nn.Parameter(torch.ones(out_features))

    def reset_parameters(self) -> None:
        """Draw the initial rows and biases as ``nn.Linear``; all factors are 1."""
        super().reset_parameters()
        if hasattr(self, 'scale'):  # nn.Linear calls this before there is one
            nn.init.ones_(self.scale)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the logits (N, K) of features (N, D)."""
        return self.scale * F.linear(features, self.weight, self.bias)
