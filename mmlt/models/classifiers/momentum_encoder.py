"""A copy of the model's backbone and neck that follows them slowly."""

from collections.abc import Sequence

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.models.classifiers.companion import Companion, own_features
from mmlt.models.slots.batch import CompanionOutput
from mmlt.models.state import MomentumCopy


@MODELS.register_module()
class MomentumEncoder(Companion):
    r"""Moving average of backbone and neck: the companion that a :class:`MomentumQueue` asks.

    .. math:: \bar f \leftarrow \alpha \bar f + (1 - \alpha) f

    It starts equal to them, also where weights were loaded, and is updated once an iteration,
    before it is used: so it follows the optimizer's last step when the next iteration begins. With
    accumulated gradients that is more than once a step. Its state is in the checkpoint, so a
    resumed run goes on exactly; a run that begins from a checkpoint without it (``load_from``)
    needs ``default_hooks.strict_load.missing=['companions.*']`` and then starts equal.

    BatchNorm: parameters follow, statistics do not. In training it takes those of its own batch,
    and where the model's BatchNorm is synchronised over the processes, so is its own. An image and
    its key must not be told by the statistics of a process: take ``sync_bn='torch'`` with several.

    Args:
        momentum (float): alpha, in [0, 1). Defaults to 0.999.
        views (Sequence[int]): Views of each image that it sees; the last is the key. Defaults to
            ``(1,)``.

    Raises:
        ValueError: An argument outside its range.

    Source:
        He et al. (2020, MoCo); NCL.

    Example:
        >>> encoder = MomentumEncoder(momentum=0.99, views=[1])
        >>> encoder.views
        (1,)
    """

    def __init__(self, momentum: float = 0.999, views: Sequence[int] = (1,)):
        super().__init__(views)
        if not 0 <= momentum < 1:
            raise ValueError(f'momentum must be in [0, 1), got {momentum}')
        self.momentum = momentum
        self._asked = False

    def attach(self, model: nn.Module) -> None:
        """Copy the structure."""
        self.encoder = MomentumCopy(_encoder(model))

    def observe(self, images: Sequence[torch.Tensor], model: nn.Module) -> CompanionOutput:
        """Follow the model if it learns, then compute the features of the views."""
        if not self._asked:
            self._asked = True
            # The Runner converts the model after it is built, and does not know of companions.
            if any(isinstance(part, nn.SyncBatchNorm) for part in model.modules()):
                self.encoder = nn.SyncBatchNorm.convert_sync_batchnorm(self.encoder)
        self.train(model.training)
        if model.training and torch.is_grad_enabled():
            self.encoder.update(_encoder(model), self.momentum)
        features = own_features(
            self.encoder(torch.cat([images[view] for view in self.views])), model.head
        )
        parts = [part.chunk(len(self.views)) for part in features]
        found = {view: tuple(part[i] for part in parts) for i, view in enumerate(self.views)}
        return CompanionOutput(found, momentum=self.momentum)


def _encoder(model: nn.Module) -> nn.Module:
    parts = [model.backbone] + [model.neck] * (model.neck is not None)
    return nn.Sequential(*parts)
