"""Sample against class: the slot that every method has."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.models.build import build_part
from mmlt.models.slots.batch import Batch, matched, pure_labels_of, split_views


@MODELS.register_module()
class JointSlot(nn.Module):
    r"""Criterion of the classifier's logits, the label's moved by a margin.

    .. math:: L = \frac{1}{V} \sum_v L_{criterion}(z^{(v)}, y^{(v)})

    Logits and loss are computed in float32 or better, also under autocast.

    Args:
        criterion (dict | Module): Criterion of logits (N, K) and labels (N,) or (N, K).
        margin (dict | Module, optional): Moves the label's logit, such as
            ``dict(type='DBMMargin')``; needs a classifier with cosines (``CosineLinear``). A view
            behind the first with soft labels gets none, as mixtures have no one label; a plain
            view of mixtures is refused.
        views (int, optional): How many views, from the first on, are seen. Defaults to None: all.
        class_counts (optional): Handed to criterion and margin if they want it.

    Shape:
        batch of V views (N, D) -> ().

    Raises:
        ValueError: ``views`` below 1, or more than the batch has; a margin and mixtures in the
            plain view.
        TypeError: A margin and a classifier without cosines.

    Source:
        BCE3S, eqs. 3 and 22; views as released. DBM, eqs. 5 to 11. BCL, eq. 10 (``views=1``).

    Example:
        >>> slot = JointSlot(dict(type='SoftmaxPairLoss'))
        >>> slot(Batch([torch.zeros(2, 4)], [torch.tensor([0, 1])], nn.Linear(4, 3, bias=False)))
        tensor(1.0986, grad_fn=<MeanBackward0>)
    """

    wants = ('class_counts',)

    def __init__(self, criterion, margin=None, views: int | None = None, class_counts=None):
        super().__init__()
        if views is not None and views < 1:
            raise ValueError(f'joint_views must be >= 1, got {views}')
        self.criterion = build_part(criterion, class_counts=class_counts)
        self.margin = None if margin is None else build_part(margin, class_counts=class_counts)
        self.views = views

    def check_classifier(self, classifier: nn.Module) -> None:
        """Refuse a margin on a classifier without cosines."""
        if self.margin is not None and not hasattr(classifier, 'cosine'):
            raise ValueError(
                'margin needs a classifier with cosines, such as CosineLinear, got '
                f'{type(classifier).__name__}'
            )

    def forward(self, batch: Batch) -> torch.Tensor:
        """Compute the mean over the views of the criterion."""
        if (self.views or 0) > len(batch.views):
            raise ValueError(
                f'joint_views is {self.views}, but the batch has {len(batch.views)} views'
            )
        views, targets = batch.views[: self.views], batch.targets[: self.views]
        with torch.autocast(views[0].device.type, enabled=False):
            logits = self.logits(batch.classifier, views, targets)
            losses = [self.criterion(z, y) for z, y in zip(logits, targets)]
        return losses[0] if len(losses) == 1 else sum(losses) / len(losses)

    def logits(self, classifier, views, targets) -> tuple[torch.Tensor, ...]:
        """Logits (N, K) of each view, with the margin where there is one."""
        features = views[0] if len(views) == 1 else torch.cat(tuple(views))
        features = matched(features, classifier)
        if self.margin is None:
            return split_views(classifier(features), len(views))
        cosines = split_views(classifier.cosine(features), len(views))
        # The plain view has labels, or it is refused; the others are mixtures, or have labels too.
        labels = [pure_labels_of(targets[0], 'margin'), *targets[1:]]
        return tuple(
            self.margin(cosine, label, classifier.scale)
            if label.dim() == 1
            else classifier.scale * cosine
            for cosine, label in zip(cosines, labels)
        )
