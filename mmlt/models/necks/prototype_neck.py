"""Projector for contrast between views, with the class vectors projected to prototypes."""

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from mmlt.functional.numerics import unit_rows, upcast
from mmlt.models.gather import gather_rows, gather_rows_with_gradient


def _mlp(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.BatchNorm1d(hidden_channels),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, out_channels),
    )


@MODELS.register_module()
class PrototypeNeck(BaseModule):
    r"""Contrast of the views with each other and with one prototype a class.

    .. math:: z_i = P(x_i) / \|P(x_i)\|, \quad z_{c_k} = Q(w_k) / \|Q(w_k)\|

    P and Q are MLPs of the same shape, Linear-BatchNorm-ReLU-Linear; the prototypes come from the
    rows of the classifier. All views but the first are contrasted (the first one is classified),
    or the only one if it is alone.

    Under several processes the contrast set is the joined batch: the features are gathered before
    P, so that its BatchNorm too sees what one process would see, and every process computes the
    same loss. That costs the projector and the loss once more for each process, little next to a
    backbone.

    Args:
        in_channels (int): Width D of the features and of the class vectors.
        hidden_channels (int): Width of the hidden layers. Defaults to 512 (BCL on CIFAR-LT).
        out_channels (int): Width d of the projections. Defaults to 128.
        prototypes (bool): Whether there is a Q; without it the views see each other only.
            Defaults to True.
        init_cfg (dict, optional): mmengine initialisation config.

    Shape:
        features (N, D) -> unit rows (N, d).

    Source:
        BCL, section 3.3; layers as released.

    Example:
        >>> neck = PrototypeNeck(64)
        >>> neck(torch.rand(4, 64)).shape, neck.prototypes(torch.rand(10, 64)).shape
        (torch.Size([4, 128]), torch.Size([10, 128]))
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 512,
        out_channels: int = 128,
        prototypes: bool = True,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        self.projector = _mlp(in_channels, hidden_channels, out_channels)
        self.prototype_projector = (
            _mlp(in_channels, hidden_channels, out_channels) if prototypes else None
        )

    def check_criterion(self, criterion: nn.Module) -> None:
        """Refuse a criterion that wants prototypes where there are none, or the reverse.

        Raises:
            ValueError: The two do not fit.
        """
        wanted = getattr(criterion, 'class_complement', None)
        found = self.prototype_projector is not None
        if wanted is None:
            raise ValueError(
                'contrast: PrototypeNeck needs a criterion of views and prototypes, such as '
                f'BalancedContrastiveLoss, got {type(criterion).__name__}'
            )
        if wanted != found:
            raise ValueError(
                f'contrast: {type(criterion).__name__} has class_complement={wanted}, so the neck '
                f'needs prototypes={wanted}, got prototypes={found}'
            )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the unit projections (N, d) of features (N, D), in float32 or better."""
        return unit_rows(upcast(self.projector(features)))

    def prototypes(self, class_vectors: torch.Tensor) -> torch.Tensor | None:
        """Compute the unit prototypes (K, d) of class vectors (K, D), if there are any."""
        if self.prototype_projector is None:
            return None
        return unit_rows(upcast(self.prototype_projector(class_vectors)))

    def loss(self, criterion, views, targets, class_vectors) -> torch.Tensor:
        """Contrast the views of the joined batch with each other and with the prototypes.

        Args:
            criterion (Module): Takes features (N, V, d), labels (N,) and prototypes (K, d).
            views (Sequence[Tensor]): Features (N, D) of each view.
            targets (Sequence[Tensor]): Labels (N,) of each view.
            class_vectors (Tensor): Rows of the classifier (K, D).
        """
        first = 1 if len(views) > 1 else 0
        if any(target.dim() != 1 for target in targets[first:]):
            raise ValueError(
                'contrast: PrototypeNeck needs labels, but the views have soft labels; let the '
                "pipeline make them (MultiViewDataPreprocessor with views='pipeline')"
            )
        features = gather_rows_with_gradient(torch.stack(views[first:], dim=1))
        (labels,) = gather_rows(targets[-1])
        projections = self(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        return criterion(projections, labels, self.prototypes(class_vectors))
