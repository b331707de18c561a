"""A linear classifier whose class vectors have unit length."""

import math

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.functional.linear import unit_linear


@MODELS.register_module()
class NormedLinear(nn.Linear):
    r"""Linear classifier with unit rows: :math:`s_k = w_k^T x / \|w_k\| + b_k`.

    The norm of a class vector then cannot grow with the number of its images, and the head classes
    cannot win by longer vectors (BCE3S, eq. 3). The features are left as they are: normalising them
    too, or them alone, gave fewer right over all classes (BCE3S, table 6).

    Args:
        in_features (int): Width D of the features.
        out_features (int): Number of classes K.
        bias (bool): Whether each class has a bias. Defaults to True.

    Shape:
        features (N, D) -> logits (N, K).

    Source:
        BCE3S, eq. 3 and appendix F; initialisation as released (Kaiming normal with a = 1 for the
        rows, U(-1/sqrt(D), 1/sqrt(D)) for the bias).

    Example:
        >>> layer = NormedLinear(64, 10)
        >>> layer(torch.rand(2, 64)).shape
        torch.Size([2, 10])
    """

    wants = ('in_features', 'out_features')

    def reset_parameters(self) -> None:
        """Draw the initial rows and biases."""
        nn.init.kaiming_normal_(self.weight, a=1, mode='fan_in')
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the logits (N, K) of features (N, D)."""
        return unit_linear(features, self.weight, self.bias)
