"""Projector with a memory: one remembered projection for every class."""

import inspect

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional import bank_similarity, write_bank
from mmlt.models.gather import gather_rows
from mmlt.models.targets import one_hot, pure_labels


def _state(tensor: torch.Tensor) -> nn.Parameter:
    # A parameter without gradient rather than a buffer: it is in the state dict and moves with the
    # module, but neither DDP's buffer broadcast nor mmengine's SyncBuffersHook, which averages all
    # buffers over the processes, can touch what is already equal on all of them. It must be of a
    # floating type: mmengine takes the mean of every parameter when it initialises the weights.
    return nn.Parameter(tensor, requires_grad=False)


@MODELS.register_module()
class MemoryBankNeck(BaseModule):
    r"""Similarities to the last seen projection of each class: :math:`\cos(P(x), z_k) / \tau`.

    P is Linear-ReLU-Linear. :meth:`write` stores the projection of the last sample of each class
    in the batch; under several processes the batch is the joined batch of all, in rank order, so
    every process holds the same bank. A class that was never seen has ``filled[k] = False``. The
    state is ``bank`` (K, d) and ``seen`` (K,), the number of samples written for each class.

    With one view in the batch, it is compared with the bank; with more, all but the first are, the
    mixed ones. The bank remembers the first view, after the loss, and pure images only: where
    mmpretrain's Mixup or CutMix mix every batch of a single view, it stays empty and the contrast
    loss 0; let ``MultiViewDataPreprocessor`` make the mixtures instead.

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
        init_cfg (dict, optional): mmengine initialisation config.

    Shape:
        features (N, D) -> similarities (N, K).

    Source:
        BCE3S, eq. 4, appendices C and D. The released code starts from uninitialised memory, and
        each of its processes has a bank of its own; here the bank is masked until it is filled and
        shared.

    Example:
        >>> neck = MemoryBankNeck(64, 10)
        >>> neck.write(torch.rand(4, 64), torch.tensor([0, 1, 1, 3]))
        >>> neck(torch.rand(2, 64)).shape, int(neck.filled.sum())
        (torch.Size([2, 10]), 3)
    """

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
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        if not temperature > 0:
            raise ValueError(f'temperature must be > 0, got {temperature}')
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
        self.projector = nn.Sequential(
            nn.Linear(in_channels, hidden_channels),
            nn.ReLU(inplace=True),
            nn.Linear(hidden_channels, out_channels),
        )
        self.temperature = temperature
        self.reduction = reduction
        self.fill_samples = int(fill_epochs * sum(counts))
        self.bank = _state(torch.zeros(num_classes, out_channels))
        self.seen = _state(torch.zeros(num_classes))

    @property
    def filled(self) -> torch.Tensor:
        """Which classes the bank remembers, bool (K,)."""
        return self.seen > 0

    @property
    def ready(self) -> torch.Tensor:
        """1.0 when the fill epochs are over, before that 0.0; a tensor, so no device sync."""
        return (self.seen.sum() >= self.fill_samples).to(self.bank.dtype)

    def check_criterion(self, criterion: nn.Module) -> None:
        """Refuse a criterion that cannot leave out the classes that the bank has not seen.

        Raises:
            ValueError: Its forward takes no ``negative_mask``.
        """
        if 'negative_mask' not in inspect.signature(criterion.forward).parameters:
            raise ValueError(
                'contrast: MemoryBankNeck needs a criterion whose forward takes negative_mask, '
                f'{type(criterion).__name__} does not'
            )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the similarities (N, K) of features (N, D) to the bank."""
        return bank_similarity(self.projector(features), self.bank.detach(), self.temperature)

    @torch.no_grad()
    def write(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Remember the projections of features (N, D) with labels (N,).

        Skipped are samples with label -1 and those whose projection is not finite.
        """
        projections = self.projector(features).to(self.bank.dtype)
        # One bad image must not stay in the loss until its class comes again.
        labels = torch.where(projections.isfinite().all(dim=1), labels, -1)
        projections, labels = gather_rows(projections, labels)
        write_bank(self.bank, self.seen, projections, labels)

    def loss(self, criterion, views, targets, class_vectors=None) -> torch.Tensor:
        """Compare the mixed views (the plain one if it is alone) with the bank, then write it.

        Args:
            criterion (Module): Takes similarities (N, K), soft labels (N, K) and ``negative_mask``.
            views (Sequence[Tensor]): Features (N, D) of each view.
            targets (Sequence[Tensor]): Labels (N,) or (N, K) of each view.
            class_vectors (Tensor, optional): Not used; the bank stands for the classes.
        """
        filled = self.filled
        parts = []
        # The plain view is what the bank remembers, so it is compared only when it is alone.
        for view, target in list(zip(views, targets))[-max(1, len(views) - 1) :]:
            # A class that the bank has not seen is no negative, and no positive either.
            target = one_hot(target, len(filled)) * filled
            parts.append(criterion(self(view), target, negative_mask=filled))
        loss = sum(parts) / (len(parts) if self.reduction == 'mean' else 1)
        # Zero, but still a function of the projector, while the bank is being filled: DDP wants a
        # gradient for every parameter in every step.
        loss = loss * self.ready
        self.write(views[0].detach(), pure_labels(targets[0]))
        return loss
