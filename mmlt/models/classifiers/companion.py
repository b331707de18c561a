"""What runs beside a model in training and is no part of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn as nn

from mmlt.models.slots.batch import CompanionOutput


class Companion(nn.Module, ABC):
    """Base of what :class:`CompanionClassifier` runs beside itself, without gradient.

    A subclass says in :meth:`observe` what it makes of the views that it wants.

    Args:
        views (Sequence[int]): The views of each image that it sees, counted from 0.

    Example:
        >>> class Brightness(Companion):
        ...     def observe(self, images, model):
        ...         seen = {view: (images[view].mean((2, 3)),) for view in self.views}
        ...         return CompanionOutput(seen)
        >>> Brightness([1]).observe([None, torch.ones(2, 3, 4, 4)], None).key.shape
        torch.Size([2, 3])
    """

    saved = True  # whether its state belongs in the model's checkpoint

    def __init__(self, views: Sequence[int]):
        super().__init__()
        self.views = check_views('views', views)

    def attach(self, model: nn.Module) -> None:
        """Take over what it needs of the model's structure; weights may change until training."""

    def prepare(self, model: nn.Module) -> None:
        """Load what only training needs, and refuse a model that does not fit."""

    @abstractmethod
    def observe(self, images: Sequence[torch.Tensor], model: nn.Module) -> CompanionOutput:
        """Compute the output for views of images (N, C, H, W) that the model's training sees."""


def own_features(feats: Sequence[torch.Tensor], head: nn.Module) -> Sequence[torch.Tensor]:
    """What ``head`` looks at of a backbone's outputs: all of several experts, else the last."""
    return feats if hasattr(head, 'experts') else feats[-1:]


def check_views(name: str, views: Sequence[int]) -> tuple[int, ...]:
    """Refuse what is not a list of different views, counted from 0."""
    if isinstance(views, str) or not isinstance(views, Sequence):
        raise TypeError(f'{name} must be a list of views, such as (0, 1), got {views!r}')
    wrong = [v for v in views if isinstance(v, bool) or not isinstance(v, int) or v < 0]
    if wrong or not views or len(set(views)) < len(views):
        raise ValueError(f'{name} must be different integers >= 0, at least one, got {views!r}')
    return tuple(views)
