"""Projector with a memory: one remembered projection for every class."""

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from mmlt.functional import bank_similarity, write_bank
from mmlt.models.gather import gather_rows


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

    Args:
        in_channels (int): Width D of the features.
        num_classes (int): Number of classes K.
        hidden_channels (int, optional): Width of the hidden layer. Defaults to None: D.
        out_channels (int): Width d of the projections. Defaults to 128.
        temperature (float): tau > 0. Defaults to 1.0.
        fill_samples (int): Samples to be written before :attr:`ready` is 1; the number of training
            images makes the first epoch fill the bank only. Defaults to 0.
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
        hidden_channels: int | None = None,
        out_channels: int = 128,
        temperature: float = 1.0,
        fill_samples: int = 0,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        if not temperature > 0:
            raise ValueError(f'temperature must be > 0, got {temperature}')
        hidden_channels = hidden_channels or in_channels
        self.projector = nn.Sequential(
            nn.Linear(in_channels, hidden_channels),
            nn.ReLU(inplace=True),
            nn.Linear(hidden_channels, out_channels),
        )
        self.temperature = temperature
        self.fill_samples = fill_samples
        self.bank = _state(torch.zeros(num_classes, out_channels))
        self.seen = _state(torch.zeros(num_classes))

    @property
    def filled(self) -> torch.Tensor:
        """Which classes the bank remembers, bool (K,)."""
        return self.seen > 0

    @property
    def ready(self) -> torch.Tensor:
        """1.0 once ``fill_samples`` were written, before that 0.0; a tensor, so no device sync."""
        return (self.seen.sum() >= self.fill_samples).to(self.bank.dtype)

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
        write_bank(self.bank, self.filled, projections, labels)
        self.seen.scatter_add_(0, labels.clamp(min=0), (labels >= 0).to(self.seen.dtype))
