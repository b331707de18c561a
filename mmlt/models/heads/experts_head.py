"""Several heads on several features, the slots that tie them, and the mean of their logits."""

from collections.abc import Sequence

import torch
import torch.nn as nn
from mmengine.model import ModuleDict, ModuleList
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmlt.models.build import as_spec, build_part, merge_spec
from mmlt.models.heads.parts import accuracies
from mmlt.models.heads.tripartite_head import TripartiteHead
from mmlt.models.slots import ExpertBatch
from mmlt.models.slots.batch import Batch, of_expert
from mmlt.models.targets import ViewSamples, view_targets


@MODELS.register_module()
class ExpertsHead(ClsHead):
    r"""M heads, one for each feature of :class:`MultiExpertBackbone`, and what ties them.

    .. math::
        L = \sum_m L^m + \sum_t L_t(z^1, ..., z^M), \quad
        z = \frac{1}{M} \sum_m z^m \text{ in the test}

    Losses of the same name are added over the experts. A tie is a slot: a module
    ``slot(batch) -> loss`` that gets an :class:`ExpertBatch`.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Width D of each expert's features.
        class_counts (optional): As in :class:`TripartiteHead`; handed to heads and ties.
        head (dict | Sequence[dict]): Config of the inner heads, one for all or one each; merged
            into ``dict(type='TripartiteHead')``. Defaults to that: a sum of plain heads.
        num_experts (int, optional): M. Defaults to 3, or to the number of configs in ``head``.
        slots (dict, optional): Ties, name -> config, such as
            ``dict(distillation=dict(type='MutualDistillation'))``; their losses are
            ``loss_{name}``.
        expert (int, optional): Predict from this expert alone, counted from 0. For the test; the
            training is the same. Defaults to None: the mean of all.
        keep_experts (bool): Whether :meth:`predict` leaves the scores (M, K) of each expert in the
            data samples, as ``expert_scores``, for the ``ExpertAccuracy`` metric. Defaults to
            False.
        keep_features (bool): Whether :meth:`predict` leaves the features (M * D,) in them, expert
            after expert. Defaults to False.
        **kwargs: ``topk``, ``cal_acc`` and ``init_cfg`` of mmpretrain's ``ClsHead``.

    Shape:
        feats: tuple of M features (V * N, D), view after view -> dict of scalars; in the test M x
        (N, D) -> logits (N, K).

    Raises:
        ValueError: Parts that do not fit each other: numbers of experts, names of losses.
        TypeError: An inner head of another kind than :class:`TripartiteHead`.

    Source:
        RIDE, NCL, BalPoE; the sum over the experts is NCL's.

    Example:
        >>> tau = [dict(joint=dict(type='BalancedSoftmaxLoss', tau=tau)) for tau in (0, 1, 2)]
        >>> head = ExpertsHead(10, 64, class_counts='cifar10-lt-if100', head=tau)
        >>> head((torch.rand(2, 64),) * 3).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        class_counts=None,
        head: dict | Sequence[dict] | None = None,
        num_experts: int | None = None,
        slots: dict | None = None,
        expert: int | None = None,
        keep_experts: bool = False,
        keep_features: bool = False,
        **kwargs,
    ):
        super().__init__(loss=nn.Identity(), **kwargs)
        del self._modules['loss_module']  # each expert has its own
        specs = _head_specs(head, num_experts)
        if expert is not None and expert not in range(len(specs)):
            raise ValueError(f'expert must be in [0, {len(specs) - 1}] or None, got {expert!r}')
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.expert = expert
        self.keep_experts = keep_experts
        self.keep_features = keep_features
        self.resting = frozenset()  # names of ties that a hook has put to rest
        facts = dict(num_classes=num_classes, in_channels=in_channels, class_counts=class_counts)
        # mmengine's list, and dict below: the init_cfg of a slot is applied.
        self.experts = ModuleList(build_part(spec, tuple(facts), **facts) for spec in specs)
        for inner in self.experts:
            _check_inner(inner)
        facts['class_counts'] = None if class_counts is None else self.class_counts.tolist()
        self.slots = ModuleDict()
        for name, spec in (slots or {}).items():
            self._check_name(name)
            tie = build_part(as_spec(f'slots.{name}', spec), **facts)
            if hasattr(tie, 'check_experts'):
                tie.check_experts(len(specs))
            self.slots[name] = tie

    @property
    def class_counts(self) -> torch.Tensor | None:
        """Training images of each class (K,); they stand in the experts."""
        return self.experts[0].class_counts

    def loss(self, feats: tuple[torch.Tensor], data_samples, **companions) -> dict:
        """Add the experts' losses up by name; hand each tie the batches of all."""
        features = self._features(feats)
        if not isinstance(data_samples, ViewSamples):
            # The targets once, not once an expert.
            targets = view_targets(data_samples)
            data_samples = ViewSamples(data_samples[: len(targets[0])], targets)
        batches = []
        for m, (inner, feature) in enumerate(zip(self.experts, features)):
            own = {name: of_expert(found, m, len(features)) for name, found in companions.items()}
            first = batches[0] if batches else None
            batches.append(Batch.of(feature, data_samples, inner.classifier, own, first))
        losses = {}
        for inner, batch in zip(self.experts, batches):
            for name, loss in inner.slot_losses(batch).items():
                losses[name] = losses[name] + loss if name in losses else loss
        batch = ExpertBatch(batches, [inner.slots['joint'] for inner in self.experts])
        losses |= {
            f'loss_{name}': tie(batch)
            for name, tie in self.slots.items()
            if name not in self.resting
        }
        if self.cal_acc:
            logits = sum(batch.bare_logits(m) for m in range(len(self.experts)))
            losses |= accuracies(logits, batch.plain_labels('cal_acc'), self.topk)
        return losses

    def expert_logits(self, feats: tuple[torch.Tensor]) -> torch.Tensor:
        """Compute the test-time logits (M, N, K) of each expert."""
        features = self._features(feats)
        return torch.stack([inner((x,)) for inner, x in zip(self.experts, features)])

    def forward(self, feats: tuple[torch.Tensor]) -> torch.Tensor:
        """Compute the test-time logits (N, K): the mean of all experts, or those of ``expert``."""
        if self.expert is not None:
            return self.experts[self.expert]((self._features(feats)[self.expert],))
        return self.expert_logits(feats).mean(0)

    def pre_logits(self, feats: tuple[torch.Tensor]) -> torch.Tensor:
        """Concatenate the features (N, M * D), expert after expert."""
        return torch.cat(self._features(feats), dim=1)

    def predict(self, feats, data_samples=None) -> list[DataSample]:
        """Predict as mmpretrain's heads do, with the fields that are asked for."""
        predictions = super().predict(feats, data_samples)
        fields = {}
        if self.keep_experts:
            fields['expert_scores'] = self.expert_logits(feats).softmax(dim=-1).transpose(0, 1)
        if self.keep_features:
            fields['features'] = self.pre_logits(feats)
        for name, rows in fields.items():
            for sample, row in zip(predictions, rows):
                # A copy: a row of the batch would drag the whole batch into a pickle.
                sample.set_field(row.clone(), name)
        return predictions

    def __getattr__(self, name):
        # Hooks for one classifier ask for these; nn.Module would not say where they are.
        if name in ('classifier', 'loss_module'):
            raise AttributeError(
                f'ExpertsHead has no {name} of its own, each of its experts has one: '
                f'head.experts[m].{name}'
            )
        return super().__getattr__(name)

    def _features(self, feats: tuple[torch.Tensor]) -> list[torch.Tensor]:
        number = len(self.experts)
        if not isinstance(feats, (tuple, list)) or len(feats) != number:
            found = f'{len(feats)} features' if isinstance(feats, (tuple, list)) else 'one tensor'
            raise ValueError(
                f'ExpertsHead has {number} experts, so it needs {number} features, but backbone '
                f"and neck give {found}: take dict(type='MultiExpertBackbone', "
                f'num_experts={number}, backbone=...)'
            )
        return [inner.pre_logits((x,)) for inner, x in zip(self.experts, feats)]

    def _check_name(self, name: str) -> None:
        taken = sorted({slot for inner in self.experts for slot in inner.slots})
        if name in taken or not name.isidentifier():
            wanted = f'a name other than {taken}' if name in taken else 'a name'
            raise ValueError(f'slots must have {wanted} for each tie, got {name!r}')


def _head_specs(head, num_experts: int | None) -> list:
    """Configs of the M inner heads."""
    default = dict(type='TripartiteHead')
    if isinstance(head, nn.Module):
        raise TypeError('head must be a config or one for each expert: a module would be shared')
    if head is None or isinstance(head, dict):
        number = 3 if num_experts is None else num_experts
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f'num_experts must be an integer >= 1, got {number!r}')
        _refuse_shared('head', head, number)
        return [merge_spec(default, dict(head or {}))] * number
    if not isinstance(head, Sequence) or isinstance(head, str) or not head:
        raise TypeError(f'head must be a config or a list of them, got {head!r}')
    if num_experts not in (None, len(head)):
        raise ValueError(f'num_experts is {num_experts}, but head has {len(head)} configs')
    _refuse_shared('head', head, len(head))
    return [merge_spec(default, as_spec(f'head[{i}]', spec)) for i, spec in enumerate(head)]


def _refuse_shared(name: str, part, number: int) -> None:
    """Refuse a module with state inside what is built ``number`` times: all would hold the same."""
    if number > 1 and isinstance(part, nn.Module) and part.state_dict():
        raise TypeError(f'{name} must be a config: a module would be shared by {number} experts')
    items = part.items() if isinstance(part, dict) else ()
    items = enumerate(part) if isinstance(part, (list, tuple)) else items
    for key, value in items:
        _refuse_shared(f'{name}[{key}]' if isinstance(key, int) else f'{name}.{key}', value, number)


def _check_inner(inner: nn.Module) -> None:
    """Refuse a head that is none of ours, and options that would be without effect in it."""
    if not isinstance(inner, TripartiteHead):
        raise TypeError(
            f'head must be a TripartiteHead or one of its presets, got {type(inner).__name__}'
        )
    for name in ('cal_acc', 'keep_features', 'init_cfg'):
        if getattr(inner, name):
            raise ValueError(f'{name} has no effect in an expert: give it to ExpertsHead')
