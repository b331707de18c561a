"""The contrast slot of BCE3S: one remembered projection for every class."""

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional import bank_similarity, write_bank
from mmlt.functional.checks import check_positive
from mmlt.models.build import build_part, merge_spec
from mmlt.models.gather import gather_rows
from mmlt.models.layers.mlp import mlp
from mmlt.models.losses import PairCriterion
from mmlt.models.slots.batch import Batch, split_views
from mmlt.models.state import state
from mmlt.models.targets import one_hot


@MODELS.register_module()
class MemoryBankNeck(BaseModule):
    r"""Criterion of the similarities to the last seen projection of each class.

    .. math:: s_{ik} = \cos(P(x_i), z_k) / \tau

    P is Linear-ReLU-Linear. After the loss, the projection of the last sample of each class in the
    batch is remembered; under several processes the batch is the joined batch of all, in rank
    order, so every process holds the same bank. A class that was never seen has
    ``filled[k] = False``, and is neither positive nor negative. The state is ``bank`` (K, d) and
    ``seen`` (K,), the number of samples written for each class. A loss computed in evaluation mode
    or without gradients writes nothing.

    With one view in the batch, it is compared with the bank; with more, all but the first are, the
    mixed ones. The bank remembers the first view, of pure images: where mmpretrain's Mixup or
    CutMix mix the only view, the batch is refused; let ``MultiViewDataPreprocessor`` make the
    mixtures beside it.

    Args:
        in_channels (int): Width D of the features.
        num_classes (int): Number of classes K.
        class_counts (optional): Training images per class; tells the length of an epoch.
        hidden_channels (int, optional): Width of the hidden layer. Defaults to None: D.
        out_channels (int): Width d of the projections. Defaults to 128.
        temperature (float): tau > 0. Defaults to 1.0.
        reduction (str): 'mean' or 'sum' over the compared views. Defaults to 'mean'.
        fill_epochs (int, optional): Epochs in which the bank is only filled, counted in samples by
            ``class_counts``. Defaults to None: 1 with ``class_counts``, else 0.
        criterion (dict | PairCriterion, optional): Criterion of similarities and targets. Defaults
            to ``dict(type='SigmoidPairLoss')``.
        init_cfg (dict, optional): mmengine initialisation config.

    Shape:
        batch of V views (N, D) -> (); :meth:`similarity`: features (N, D) -> (N, K).

    Raises:
        ValueError: An argument outside its range; a ``criterion`` that is no :class:`PairCriterion`
            and could not leave classes out, or that draws negatives; mixtures in the first view.

    Source:
        BCE3S, eq. 4, appendices C and D. The released code starts from uninitialised memory, and
        each of its processes has a bank of its own; here the bank is masked until it is filled and
        shared.

    Example:
        >>> neck = MemoryBankNeck(64, 10)
        >>> neck.write(torch.rand(4, 64), torch.tensor([0, 1, 1, 3]))
        >>> neck.similarity(torch.rand(2, 64)).shape, int(neck.filled.sum())
        (torch.Size([2, 10]), 3)
    """

    wants = ('in_channels', 'num_classes', 'class_counts')

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        class_counts=None,
        hidden_channels: int | None = None,
        out_channels: int = 128,
        temperature: float = 1.0,
        reduction: str = 'mean',
        fill_epochs: int | None = None,
        criterion: dict | PairCriterion | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        check_positive('temperature', temperature)
        if reduction not in ('mean', 'sum'):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        counts = () if class_counts is None else load_class_counts(class_counts)
        if fill_epochs is None:
            fill_epochs = 1 if counts else 0
        if fill_epochs < 0:
            raise ValueError(f'fill_epochs must be >= 0, got {fill_epochs}')
        if fill_epochs and not counts:
            raise ValueError('fill_epochs needs class_counts, to know the length of an epoch')
        hidden_channels = hidden_channels or in_channels
        self.projector = mlp(in_channels, hidden_channels, out_channels)
        self.temperature = temperature
        self.reduction = reduction
        self.fill_samples = int(fill_epochs * sum(counts))
        self.bank = state(torch.zeros(num_classes, out_channels))
        self.seen = state(torch.zeros(num_classes))
        spec = merge_spec(dict(type='SigmoidPairLoss'), criterion or {})
        self.criterion = build_part(spec, class_counts=class_counts)
        if not isinstance(self.criterion, PairCriterion):
            raise ValueError(
                'contrast: MemoryBankNeck needs a PairCriterion, which can leave out the classes '
                f'that the bank has not seen, got {type(self.criterion).__name__}'
            )
        inner = getattr(self.criterion, 'criterion', self.criterion)  # of a ClassBalancedLoss
        if getattr(inner, 'negative_ratio', 1.0) < 1:
            raise ValueError(
                f'contrast.negative_ratio={inner.negative_ratio} has no effect: all classes of the '
                'bank are compared (eq. 4), joint.negative_ratio draws those of the joint slot'
            )

    @property
    def filled(self) -> torch.Tensor:
        """Which classes the bank remembers, bool (K,)."""
        return self.seen > 0

    @property
    def ready(self) -> torch.Tensor:
        """1.0 when the fill epochs are over, before that 0.0; a tensor, so no device sync."""
        return (self.seen.sum() >= self.fill_samples).to(self.bank.dtype)

    def similarity(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the similarities (N, K) of features (N, D) to the bank."""
        return bank_similarity(self.projector(features), self.bank.detach(), self.temperature)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Compare the mixed views (the plain one if it is alone) with the bank, then write it."""
        labels = batch.plain_labels('contrast')
        filled = self.filled
        losses = []
        # The plain view is what the bank remembers, so it is compared only when it is alone.
        compared = max(1, len(batch.views) - 1)
        views, targets = batch.views[-compared:], batch.targets[-compared:]
        similarity = self.similarity(torch.cat(tuple(views)) if compared > 1 else views[0])
        for view, target in zip(split_views(similarity, compared), targets):
            # A class that the bank has not seen is no negative, and no positive either.
            target = one_hot(target, len(filled)) * filled
            losses.append(self.criterion(view, target, negative_mask=filled))
        loss = sum(losses) / (len(losses) if self.reduction == 'mean' else 1)
        # Zero, but still a function of the projector, while the bank is being filled: DDP wants a
        # gradient for every parameter in every step.
        loss = loss * self.ready
        if self.training and torch.is_grad_enabled():
            self.write(batch.views[0].detach(), labels, batch.row_counts)
        return loss

    @torch.no_grad()
    def write(self, features: torch.Tensor, labels: torch.Tensor, counts=None) -> None:
        """Remember the projections of features (N, D) with labels (N,) of all processes.

        Skipped are samples with label -1 and those whose projection is not finite. ``counts`` is
        the number of rows on each process; None where there is one.
        """
        projections = self.projector(features).to(self.bank.dtype)
        # One bad image must not stay in the loss until its class comes again.
        labels = torch.where(projections.isfinite().all(dim=1), labels, -1)
        projections, labels = gather_rows(counts, projections, labels)
        write_bank(self.bank, self.seen, projections, labels)
