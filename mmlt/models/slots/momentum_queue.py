"""The contrast slot of NCL: another view of the same image against a queue of other images."""

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS

from mmlt.functional.checks import check_positive, check_shape
from mmlt.functional.numerics import unit_rows, upcast
from mmlt.models.build import build_part, merge_spec
from mmlt.models.gather import gather_rows
from mmlt.models.layers.mlp import mlp
from mmlt.models.losses import PairCriterion
from mmlt.models.slots.batch import Batch, CompanionOutput
from mmlt.models.state import MomentumCopy, state


@MODELS.register_module()
class MomentumQueue(BaseModule):
    r"""Each image is to know its own key, of a momentum encoder, among the keys of a queue.

    .. math::
        L = -\frac{1}{N} \sum_i \log \frac{e^{q_i k_i / T}}
            {e^{q_i k_i / T} + \sum_{u \in Q} e^{q_i u / T}}, \quad
        q = \frac{g(x)}{\|g(x)\|}, \quad k = \frac{\bar g(\bar x)}{\|\bar g(\bar x)\|}

    x are the features of the model, :math:`\bar x` those that the companion, a
    :class:`MomentumEncoder`, made of another view. g is Linear-ReLU-Linear, :math:`\bar g` its
    momentum copy, with the companion's momentum. No label is used: an image of the same class is
    a negative.

    The negatives are the queue before the batch is written. Then the keys of the batch, of all
    processes in rank order, take the places of the oldest; a batch may have any size, and of one
    larger than the queue the last are kept. At the start the queue holds random unit vectors. A
    loss computed in evaluation mode or without gradients writes nothing.

    Args:
        in_channels (int): Width D of the features.
        hidden_channels (int, optional): Width of the hidden layer. Defaults to None: D.
        out_channels (int): Width d of queries and keys. Defaults to 64 (NCL on CIFAR-LT; 1024 on
            Places-LT).
        size (int): Keys in the queue. Defaults to 1024 (CIFAR-LT; 65536 on Places-LT).
        temperature (float): T > 0. Defaults to 0.2.
        companion (str): Name of the momentum encoder. Defaults to 'momentum'.
        criterion (dict | PairCriterion, optional): Criterion of similarities (N, 1 + size), the
            first of each row the positive. Defaults to ``dict(type='SoftmaxPairLoss')``.
        init_cfg (dict, optional): mmengine initialisation config.

    Shape:
        batch of views (N, D), the last of which is compared -> ().

    Raises:
        ValueError: An argument outside its range; a ``criterion`` that is no
            :class:`PairCriterion`; no such companion, or another kind of one.

    Source:
        NCL (Li et al., CVPR 2022), its self-supervised contrast; He et al. (2020, MoCo). The
        released code starts the momentum encoder from other random numbers, updates it three times
        a step and never updates :math:`\bar g`; here it is standard.

    Example:
        >>> slot = MomentumQueue(6, out_channels=4, size=8)
        >>> key = CompanionOutput({1: (torch.rand(3, 6),)}, momentum=0.999)
        >>> labels = [torch.tensor([0, 1, 0])]
        >>> batch = Batch([torch.rand(3, 6)], labels, torch.nn.Linear(6, 2), dict(momentum=key))
        >>> slot(batch).shape, int(slot.pointer)
        (torch.Size([]), 3)
    """

    wants = ('in_channels',)

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int | None = None,
        out_channels: int = 64,
        size: int = 1024,
        temperature: float = 0.2,
        companion: str = 'momentum',
        criterion: dict | PairCriterion | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        check_positive('temperature', temperature)
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f'size must be a positive integer, got {size!r}')
        hidden_channels = hidden_channels or in_channels
        self.projector = mlp(in_channels, hidden_channels, out_channels)
        self.key_projector = MomentumCopy(self.projector)
        self.temperature = temperature
        self.companion = companion
        self.queue = state(unit_rows(torch.randn(size, out_channels)))
        self.pointer = state(torch.zeros(()))
        spec = merge_spec(dict(type='SoftmaxPairLoss'), criterion or {})
        self.criterion = build_part(spec)
        if not isinstance(self.criterion, PairCriterion):
            raise ValueError(
                'contrast: MomentumQueue needs a PairCriterion of similarities, such as '
                f'SoftmaxPairLoss, got {type(self.criterion).__name__}'
            )

    def forward(self, batch: Batch) -> torch.Tensor:
        """Contrast the batch with its keys and the queue, then write the keys."""
        output = batch.companion(self.companion, 'MomentumQueue')
        if not isinstance(output, CompanionOutput) or output.momentum is None:
            raise ValueError(
                f'the companion {self.companion!r} must be a MomentumEncoder: MomentumQueue has a '
                'momentum copy of its projector, and asks it for the momentum'
            )
        features = batch.views[-1]
        check_shape('features of the momentum encoder', output.key, *features.shape)
        learning = self.training and torch.is_grad_enabled()
        if learning:
            self.key_projector.update(self.projector, output.momentum)
        queries = unit_rows(upcast(self.projector(features)))
        keys = unit_rows(upcast(self.key_projector(output.key)))
        loss = self.criterion(self.similarity(queries, keys), queries.new_zeros(
            len(queries), dtype=torch.long))  # fmt: skip
        if learning:
            self.write(*gather_rows(batch.row_counts, keys))
        return loss

    def similarity(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Similarities (N, 1 + size) of unit queries (N, d) to their keys and to the queue."""
        # Autocast would round the cosines to half precision, then multiply the error by 1 / T.
        with torch.autocast(queries.device.type, enabled=False):
            own = (queries * keys).sum(1, keepdim=True)
            # A copy: the backward pass needs the queue as it was.
            others = queries @ self.queue.clone().to(queries.dtype).T
            return torch.cat([own, others], dim=1) / self.temperature

    @torch.no_grad()
    def write(self, keys: torch.Tensor) -> None:
        """Put keys (N, d) of all processes in the places of the oldest."""
        size = len(self.queue)
        keys = keys[-size:]
        slots = torch.arange(len(keys), device=keys.device) + self.pointer.long()
        keys = keys.to(self.queue.dtype)
        slots = slots % size
        # One bad image must not stay in the loss: its place keeps the old key.
        good = keys.isfinite().all(dim=1, keepdim=True)
        self.queue.index_copy_(0, slots, torch.where(good, keys, self.queue[slots]))
        self.pointer.copy_((self.pointer + len(keys)) % size)
