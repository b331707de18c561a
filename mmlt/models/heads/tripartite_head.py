"""One head, three slots: sample - class, sample - sample, class - class."""

import torch
import torch.nn as nn
from mmengine.model import ModuleDict
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.class_counts import load_class_counts
from mmlt.models.build import build_part, merge_spec
from mmlt.models.heads.checkpoint import rename_slots, settle_class_counts
from mmlt.models.heads.parts import (
    accuracies,
    part_spec,
    several_features,
    slot_specs,
    trained_tau,
)
from mmlt.models.slots.batch import Batch, of_expert


@MODELS.register_module()
class TripartiteHead(ClsHead):
    r"""Slots that compare what a batch offers, on one classifier, in place of ``LinearClsHead``.

    .. math::
        L = L_{joint}(W x + b, y) + L_{contrast}(P(x), y) + L_{uniform}(W W^T)

    A slot is a module ``slot(batch) -> loss`` (:class:`Batch`) that owns its criterion, its weight
    and its state. The head builds the slots and hands each the batch. In the test only the
    classifier runs. Each part takes a config; a ``type`` of another name than the default's
    replaces the default whole, other keys are merged into it.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Width D of the features.
        class_counts (optional): Training images per class, as :func:`mmlt.load_class_counts` takes
            them; handed to the parts that want them. They stand in checkpoints, but what the config
            says counts.
        classifier (dict): The layer of the joint similarity. Defaults to
            ``dict(type='NormedLinear')``.
        joint (str | dict): Criterion of logits and targets, 'sigmoid', 'softmax' or a config.
            Defaults to 'sigmoid'.
        margin (dict, optional): See :class:`JointSlot`.
        joint_views (int, optional): See :class:`JointSlot`.
        contrast (str | dict, optional): Criterion of what ``neck`` compares.
        neck (dict, optional): The contrast slot. Defaults to ``dict(type='MemoryBankNeck')``.
        uniform (str | dict, optional): Criterion of the class vectors.
        slots (dict, optional): Further slots, name -> config; their losses are ``loss_{name}``.
        adjustment (dict, optional): What happens to the logits in the test alone, such as
            ``dict(type='LogitAdjustment', tau=1.0)``.
        keep_features (bool): Whether :meth:`predict` leaves the features in the data samples, for
            the ``FeatureGeometry`` metric. Defaults to False.
        **kwargs: ``topk``, ``cal_acc`` and ``init_cfg`` of mmpretrain's ``ClsHead``.

    Shape:
        feats: tuple whose last item is (V * N, D), view after view -> dict of scalars
        ``loss_joint``, ``loss_contrast``, ``loss_uniform``, ``loss_{name}``.

    Raises:
        ValueError, TypeError: Parts that do not fit each other, or that could have no effect.

    Source:
        BCE3S, eqs. 6 and 25; views and bank as released.

    Example:
        >>> head = TripartiteHead(10, 64, joint='sigmoid', contrast='sigmoid', uniform='softmax')
        >>> samples = [DataSample().set_gt_label(k) for k in range(4)]
        >>> sorted(head.loss((torch.rand(4, 64),), samples))
        ['loss_contrast', 'loss_joint', 'loss_uniform']
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        class_counts=None,
        classifier: dict | None = None,
        joint: str | dict = 'sigmoid',
        margin: dict | None = None,
        joint_views: int | None = None,
        contrast: str | dict | None = None,
        neck: dict | None = None,
        uniform: str | dict | None = None,
        slots: dict | None = None,
        adjustment: dict | None = None,
        keep_features: bool = False,
        **kwargs,
    ):
        for name in _MOVED.keys() & kwargs.keys():
            raise TypeError(f'{name} is no argument of a head any more: write {_MOVED[name]}')
        counts = None if class_counts is None else load_class_counts(class_counts)
        if counts is not None and len(counts) != num_classes:
            raise ValueError(
                f'class_counts has {len(counts)} classes, num_classes is {num_classes}'
            )
        super().__init__(loss=nn.Identity(), **kwargs)
        del self._modules['loss_module']  # the criterion is the joint slot's, see loss_module
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.keep_features = keep_features
        self.resting = frozenset()  # names of slots that a hook has put to rest
        self.register_buffer('class_counts', None if counts is None else torch.tensor(counts))

        facts = dict(num_classes=num_classes, in_channels=in_channels, class_counts=counts)
        widths = dict(in_features=in_channels, out_features=num_classes)
        classifier = merge_spec(
            dict(type='NormedLinear'), part_spec('classifier', classifier or {})
        )
        self.classifier = build_part(classifier, wants=tuple(widths), **widths, **facts)
        specs = slot_specs(joint, margin, joint_views, contrast, neck, uniform, slots)
        self.slots = ModuleDict(  # mmengine's: the init_cfg of a slot is applied
            {name: build_part(spec, **facts) for name, spec in specs.items()}
        )
        for slot in self.slots.values():
            if hasattr(slot, 'check_classifier'):
                slot.check_classifier(self.classifier)
        self.adjustment = None
        self.adjusts_joint = False  # whether the adjustment counts on the joint criterion
        if adjustment is not None:
            spec = merge_spec(dict(type='LogitAdjustment'), part_spec('adjustment', adjustment))
            self.adjusts_joint = isinstance(spec, dict) and 'balanced' not in spec
            self.adjustment = build_part(spec, balanced=trained_tau(self.loss_module), **facts)

    def loss(self, feats: tuple[torch.Tensor], data_samples, **companions) -> dict:
        """Hand each slot the batch; add what ``cal_acc`` asks for."""
        companions = {name: of_expert(found, 0, 1) for name, found in companions.items()}
        batch = Batch.of(self.pre_logits(feats), data_samples, self.classifier, companions)
        losses = self.slot_losses(batch)
        if self.cal_acc:
            losses |= accuracies(self.classifier(batch.views[0]), batch.targets[0], self.topk)
        return losses

    def slot_losses(self, batch: Batch) -> dict:
        """Compute ``loss_{name}`` of each slot that is not at rest."""
        return {
            f'loss_{name}': slot(batch)
            for name, slot in self.slots.items()
            if name not in self.resting
        }

    def forward(self, feats: tuple[torch.Tensor]) -> torch.Tensor:
        """Compute the test-time logits (N, K) of the last item (N, D) of ``feats``."""
        logits = self.classifier(self.pre_logits(feats))
        return logits if self.adjustment is None else self.adjustment(logits)

    def pre_logits(self, feats: tuple[torch.Tensor]) -> torch.Tensor:
        """Take the last stage's features and check their width."""
        features = feats[-1]
        if not isinstance(features, torch.Tensor):
            raise TypeError(several_features(type(self).__name__, features))
        if features.dim() != 2 or features.shape[1] != self.in_channels:
            raise ValueError(
                f'in_channels of {type(self).__name__} is {self.in_channels}, so the features must '
                f'be (N, {self.in_channels}), but the backbone and neck give '
                f'{tuple(features.shape)}'
                + ('; is a GlobalAveragePooling neck missing?' if features.dim() == 4 else '')
            )
        return features

    def predict(self, feats, data_samples=None) -> list[DataSample]:
        """Predict as mmpretrain's heads do; ``keep_features`` adds the field ``features``."""
        predictions = super().predict(feats, data_samples)
        if self.keep_features:
            for sample, features in zip(predictions, self.pre_logits(feats)):
                # A copy: a row of the batch would drag the whole batch into a pickle.
                sample.set_field(features.clone(), 'features')
        return predictions

    @property
    def loss_module(self) -> nn.Module:
        """The joint criterion, under the name by which mmpretrain's SwitchRecipeHook knows it."""
        return self.slots['joint'].criterion

    def __setattr__(self, name, value):
        # nn.Module would register a module under this name beside the property.
        if name == 'loss_module' and 'slots' in self._modules:
            self.slots['joint'].criterion = value
        else:
            super().__setattr__(name, value)

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs) -> None:
        rename_slots(state_dict, prefix)
        device = next(self.parameters()).device
        device = None if device.type == 'meta' else device  # filled later, by assignment
        self.class_counts = settle_class_counts(state_dict, prefix, self.class_counts, device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


_MOVED = dict(
    negative_ratio="joint=dict(type='SigmoidPairLoss', negative_ratio=...)",
    negative_sampling="joint=dict(type='SigmoidPairLoss', negative_sampling=...)",
    logit_adjustment="adjustment=dict(type='LogitAdjustment', tau=...)",
    target_class_counts="adjustment=dict(type='LogitAdjustment', target_class_counts=...)",
    tau_normalization="classifier=dict(type='TauNormLinear', tau=...)",
)
