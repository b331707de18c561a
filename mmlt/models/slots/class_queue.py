"""The contrast slot of GML: images against several remembered teacher features of each class."""

import logging
import math

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional.checks import check_positive, check_shape
from mmlt.functional.numerics import unit_rows, upcast
from mmlt.functional.queues import class_log_means, class_queue_sizes, ring_slots
from mmlt.models.build import build_part, merge_spec
from mmlt.models.gather import gather_rows, gather_rows_with_gradient
from mmlt.models.layers.mlp import mlp
from mmlt.models.losses import PairCriterion
from mmlt.models.slots.batch import Batch, pure_labels_of
from mmlt.models.state import say_once, state

_NOT_KNOWN = -2.0  # path of an image that was remembered before paths were


@MODELS.register_module()
class ClassQueue(BaseModule):
    r"""Criterion of the likelihood of each class, a mixture with one component a queue slot.

    .. math::
        \log S_{ic} = \log \frac{1}{|Q_c|} \sum_{j \in Q_c} e^{e_i \cdot e_j / T}, \quad
        L = L_{criterion}(\log S, y) + L_{criterion}(\log S', y)

    :math:`e_i = g(x_i) / \|g(x_i)\|` of the model's features, :math:`e_j` of the teacher's
    features in the queue by a g of its own; both are trained. In the second term, which trains T
    alone, the products are stopped and an image's own slot is left out of its sum; in the first
    one T is stopped.

    The queue remembers what the companion, a :class:`FrozenTeacher`, made of another view, before
    the embedding: so the keys move with g, though the teacher does not. Each class has slots by
    its prior (:func:`mmlt.functional.class_queue_sizes`) and is a ring of its own. The batch, of
    all processes, is written first and compared then. Under several processes features are
    gathered before g, so that its BatchNorm too sees what one process would see, and every
    process computes the same loss. A loss computed in evaluation mode or without gradients writes
    nothing.

    An image is known again by its number in its set, its label and, where it has one, its path:
    of concatenated sets without ``img_path``, as small ones in memory, two images of a class that
    have the same number count as one. A checkpoint whose classes have other slots, because the
    class counts changed, leaves the queue as it is, with a warning.

    Args:
        in_channels (int): Width D of the features.
        num_classes (int): Number of classes K.
        class_counts: Training images of each class.
        teacher_channels (int, optional): Width of the teacher's features. Defaults to None: D.
        out_channels (int): Width d of the embeddings. Defaults to 32 (GML on CIFAR-LT; 1024 on
            ImageNet-LT).
        size (int): Slots of all classes. Defaults to 4096 (CIFAR-LT; 16384 on ImageNet-LT).
        base (int): Slots that every class has at least. Defaults to 2 (CIFAR-LT; 3 on
            ImageNet-LT).
        temperature (float): T > 0 at the start; learned as its logarithm. Defaults to 0.1
            (CIFAR-LT; 0.07 on ImageNet-LT).
        companion (str): Name of the teacher. Defaults to 'teacher'.
        criterion (dict | PairCriterion, optional): Criterion of log S (N, K) and labels. Defaults
            to ``dict(type='BalancedSoftmaxLoss')``.
        init_cfg (dict, optional): mmengine initialisation config.

    Shape:
        batch of views (N, D), the last of which is compared -> ().

    Raises:
        ValueError: An argument outside its range, such as fewer slots than classes; mixtures, also
            in the companion's last view alone; no such companion, or one of another width.

    Source:
        GML (Suh and Seo, ICML 2023), as released: the image's own slot is in the first term. Its
        guard for a class of one slot is ours.

    Example:
        >>> slot = ClassQueue(6, 3, [5, 2, 1], out_channels=4, size=9, base=1)
        >>> slot.sizes
        tensor([5, 3, 1])
    """

    wants = ('in_channels', 'num_classes', 'class_counts')

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        class_counts,
        teacher_channels: int | None = None,
        out_channels: int = 32,
        size: int = 4096,
        base: int = 2,
        temperature: float = 0.1,
        companion: str = 'teacher',
        criterion: dict | PairCriterion | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        check_positive('temperature', temperature)
        if class_counts is None:
            raise ValueError('class_counts are needed by ClassQueue: give them to the head')
        counts = load_class_counts(class_counts)
        if len(counts) != num_classes:
            raise ValueError(f'class_counts has {len(counts)} classes, num_classes={num_classes}')
        teacher_channels = teacher_channels or in_channels
        sizes = class_queue_sizes(counts, size, base)
        classes = torch.arange(num_classes).repeat_interleave(sizes)
        self.companion = companion
        self.embedding = mlp(in_channels, in_channels, out_channels, norm=True)
        self.key_embedding = mlp(teacher_channels, teacher_channels, out_channels, norm=True)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        # Both are derived from the class counts. The sizes are saved to tell under which classes
        # the rows of a checkpoint were remembered.
        self.register_buffer('sizes', sizes)
        self.register_buffer('slot_classes', classes, persistent=False)
        self.queue = state(unit_rows(torch.randn(size, teacher_channels)))
        self.image_ids = state(torch.full((size,), -1.0))  # of no image
        self.path_ids = state(torch.full((size,), _NOT_KNOWN))
        self.pointer = state(torch.zeros(num_classes))
        spec = merge_spec(dict(type='BalancedSoftmaxLoss'), criterion or {})
        self.criterion = build_part(spec, class_counts=class_counts)
        if not isinstance(self.criterion, PairCriterion):
            raise ValueError(
                'contrast: ClassQueue needs a PairCriterion of scores and labels, such as '
                f'BalancedSoftmaxLoss, got {type(self.criterion).__name__}'
            )

    def forward(self, batch: Batch) -> torch.Tensor:
        """Write the batch, then compare it with the queue."""
        output = batch.companion(self.companion, 'ClassQueue')
        width = self.queue.shape[1]
        if output.key.shape[1:] != (width,):
            raise ValueError(
                f'the companion {self.companion!r} gives features of width '
                f'{output.key.shape[1]}, the queue has {width}: set neck.teacher_channels='
                f'{output.key.shape[1]}'
            )
        counts = batch.row_counts
        features = gather_rows_with_gradient(counts, batch.views[-1])
        labels = pure_labels_of(batch.targets[-1], 'contrast')
        self._check_keys(output)
        labels, ids, paths, keys = gather_rows(
            counts, labels, batch.image_ids, batch.path_ids, output.key
        )
        if self.training and torch.is_grad_enabled():
            self.write(keys, labels, ids, paths)
        cosines = self.cosines(features)
        with torch.autocast(cosines.device.type, enabled=False):
            temperature = self.log_temperature.exp()
            likelihood = self.log_likelihood(cosines / temperature.detach())
            own = self.own_slots(labels, ids, paths)
            without_own = self.log_likelihood(cosines.detach() / temperature, own)
            return self.criterion(likelihood, labels) + self.criterion(without_own, labels)

    def cosines(self, features: torch.Tensor) -> torch.Tensor:
        """Cosines (N, size) of the embedded features (N, D) and queue, in float32 or better."""
        queries = unit_rows(upcast(self.embedding(features)))
        # A copy: the backward pass needs the queue as it was.
        keys = unit_rows(upcast(self.key_embedding(self.queue.detach().clone())))
        with torch.autocast(features.device.type, enabled=False):
            return queries @ keys.T

    def log_likelihood(self, similarity: torch.Tensor, excluded=None) -> torch.Tensor:
        """log S (N, K) of similarities (N, size); see :func:`mmlt.functional.class_log_means`."""
        return class_log_means(similarity, self.slot_classes, self.sizes, excluded)

    def own_slots(self, labels, ids, paths) -> torch.Tensor:
        """Which slots (N, size) hold the image itself, by its label, number and path, each (N,)."""
        same_path = (paths.unsqueeze(1) == self.path_ids) | (self.path_ids == _NOT_KNOWN)
        same_label = labels.unsqueeze(1) == self.slot_classes
        return (ids.unsqueeze(1) == self.image_ids) & same_label & same_path

    @torch.no_grad()
    def write(self, keys: torch.Tensor, labels: torch.Tensor, ids, paths) -> None:
        """Remember features (N, D_t) of images by label, number and path (N,), of all processes.

        Skipped are samples with label -1 and those whose feature is not finite.
        """
        keys = keys.to(self.queue.dtype)
        labels = torch.where(keys.isfinite().all(dim=1), labels, -1)
        slots, items, pointer = ring_slots(labels, self.pointer.long(), self.sizes)
        check_shape('keys', keys, len(labels), self.queue.shape[1])
        found, item = items >= 0, items.clamp(min=0)
        rows = torch.where(found.unsqueeze(1), keys[item], self.queue[slots])
        self.queue.index_copy_(0, slots, rows)
        for own, new in ((self.image_ids, ids), (self.path_ids, paths)):
            own.index_copy_(0, slots, torch.where(found, new[item], own[slots]))
        self.pointer.copy_(pointer)

    def _check_keys(self, output) -> None:
        """Refuse mixtures that the companion alone sees: a key has one class."""
        view = output.key_view
        if view in output.targets:
            name = self.companion
            pure_labels_of(
                output.targets[view],
                f'contrast remembers view {view} of the companion {name!r}, which',
                f'let the last of model.companions.{name}.views be a view of one class an image, '
                'such as views=(0,), the plain one',
            )

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        sizes, ids = (state_dict.get(prefix + name) for name in ('sizes', 'image_ids'))
        if ids is not None:
            # Checkpoints of earlier versions tell neither.
            state_dict.setdefault(f'{prefix}path_ids', torch.full_like(ids, _NOT_KNOWN))
            state_dict.setdefault(f'{prefix}sizes', self.sizes)
        if sizes is not None and sizes.tolist() != self.sizes.tolist():
            say_once(
                f'{prefix}queue: the classes have other slots than in the checkpoint, so its '
                'features would be of other classes: they are not taken, the queue begins empty '
                '(class_counts, size or base differ)',
                logging.WARNING,
            )
            state_dict[f'{prefix}sizes'] = self.sizes
            for name in ('queue', 'image_ids', 'path_ids', 'pointer'):
                key, own = prefix + name, getattr(self, name).detach()
                # Of another shape: the loader says so.
                if key in state_dict and state_dict[key].shape == own.shape:
                    state_dict[key] = own.clone()
        super()._load_from_state_dict(state_dict, prefix, *args)
