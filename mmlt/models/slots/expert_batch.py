"""All that a slot which ties experts may see of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn as nn

from mmlt.models.slots.batch import Batch


@dataclass(frozen=True)
class ExpertBatch:
    """The batches of M experts and their joint slots: what ``ExpertsHead`` hands to a tie.

    A tie is a slot: a module ``slot(batch) -> loss``.

    Args:
        experts (Sequence[Batch]): M batches: the same images and targets, features and classifier
            of each expert.
        joint_slots (Sequence[Module]): M joint slots: a margin is theirs.

    Example:
        >>> from mmlt.models.slots import JointSlot
        >>> labels = [torch.tensor([0, 1])]
        >>> experts = [Batch([torch.rand(2, 4)], labels, nn.Linear(4, 5)) for _ in range(3)]
        >>> slots = [JointSlot(dict(type='SoftmaxPairLoss'))] * 3
        >>> ExpertBatch(experts, slots).logits().shape
        torch.Size([3, 2, 5])
    """

    experts: Sequence[Batch]
    joint_slots: Sequence[nn.Module]

    def plain_labels(self, slot: str) -> torch.Tensor:
        """Labels (N,) of the plain view; see :meth:`Batch.plain_labels`."""
        return self.experts[0].plain_labels(slot)

    def logits(self) -> torch.Tensor:
        """Logits (M, N, K) of the plain view as the criteria get them: a margin is in."""
        found = [
            slot.logits(batch.classifier, batch.views[:1], batch.targets[:1])[0]
            for slot, batch in zip(self.joint_slots, self.experts)
        ]
        return torch.stack(found)

    @torch.no_grad()
    def bare_logits(self, expert: int = 0) -> torch.Tensor:
        """Logits (N, K) of the plain view as the test has them: no margin, no gradient."""
        return self.experts[expert].logits()
