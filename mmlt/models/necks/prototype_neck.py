"""The contrast slot of BCL: views against each other and against one prototype a class."""

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from mmlt.functional.numerics import unit_rows, upcast
from mmlt.models.build import build_part, merge_spec
from mmlt.models.gather import gather_rows, gather_rows_with_gradient
from mmlt.models.layers.mlp import mlp
from mmlt.models.slots.batch import Batch, pure_labels_of, rows_of


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
        criterion (dict | Module, optional): Criterion of projections (N, V, d), labels (N,) and
            prototypes (K, d). Defaults to ``dict(type='BalancedContrastiveLoss')``.
        init_cfg (dict, optional): mmengine initialisation config.

    Shape:
        batch of V views (N, D) -> (); :meth:`project`: features (N, D) -> unit rows (N, d).

    Raises:
        ValueError: A criterion of something else, one that wants prototypes where there are none,
            or the reverse; views of mixtures.
        TypeError: A classifier without class vectors (K, D).

    Source:
        BCL, section 3.3; layers as released.

    Example:
        >>> neck = PrototypeNeck(64)
        >>> neck.project(torch.rand(4, 64)).shape, neck.prototypes(torch.rand(10, 64)).shape
        (torch.Size([4, 128]), torch.Size([10, 128]))
    """

    wants = ('in_channels',)
    contrasts_batch = True  # accumulated small batches are no large one

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 512,
        out_channels: int = 128,
        prototypes: bool = True,
        criterion: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        widths = (in_channels, hidden_channels, out_channels)
        self.projector = mlp(*widths, norm=True)
        self.prototype_projector = mlp(*widths, norm=True) if prototypes else None

        spec = merge_spec(dict(type='BalancedContrastiveLoss'), criterion or {})
        self.criterion = build_part(spec)
        self._check_criterion()

    def _check_criterion(self) -> None:
        name = type(self.criterion).__name__
        wanted = getattr(self.criterion, 'class_complement', None)
        found = self.prototype_projector is not None
        if wanted is None:
            raise ValueError(
                'contrast: PrototypeNeck needs a criterion of views and prototypes, such as '
                f'BalancedContrastiveLoss, got {name}'
            )
        if wanted != found:
            raise ValueError(
                f'contrast: {name} has class_complement={wanted}, so the neck '
                f'needs prototypes={wanted}, got prototypes={found}'
            )

    def check_classifier(self, classifier: nn.Module) -> None:
        """Refuse a classifier that has no rows to make prototypes of."""
        if self.prototype_projector is not None:
            rows_of(classifier, 'contrast')

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the unit projections (N, d) of features (N, D), in float32 or better."""
        return unit_rows(upcast(self.projector(features)))

    def prototypes(self, class_vectors: torch.Tensor) -> torch.Tensor:
        """Compute the unit prototypes (K, d) of class vectors (K, D)."""
        return unit_rows(upcast(self.prototype_projector(class_vectors)))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Contrast the views of the joined batch with each other and with the prototypes."""
        first = 1 if len(batch.views) > 1 else 0
        labels = [pure_labels_of(target, 'contrast') for target in batch.targets[first:]]
        features = torch.stack(tuple(batch.views[first:]), dim=1)
        features = gather_rows_with_gradient(batch.row_counts, features)
        (labels,) = gather_rows(batch.row_counts, labels[-1])
        projections = self.project(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        prototypes = None
        if self.prototype_projector is not None:
            prototypes = self.prototypes(batch.class_vectors('contrast'))
        return self.criterion(projections, labels, prototypes)
