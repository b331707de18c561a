"""Re-weighting by the effective number of samples, around any pair criterion."""

import torch
import torch.nn as nn
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional import effective_number_weights
from mmlt.models.build import build_part


@MODELS.register_module()
class ClassBalancedLoss(nn.Module):
    r"""Class-balanced criterion: :math:`\frac{1-\beta}{1-\beta^{n_y}} L(s, y)`.

    Args:
        class_counts: What :func:`mmlt.load_class_counts` takes; :class:`TripartiteHead` fills it
            in from its own when the config leaves it out.
        beta (float): In [0, 1). 0 weighs all classes alike. Defaults to 0.9999 (the paper; the
            released code has 0.99999).
        normalize (bool): Scale the weights to mean 1 over the classes, as the released code does,
            so that the loss and with it the learning rate keep their size. False gives the factor
            above as eqs. 26 and 35 print it. Defaults to True.
        criterion (dict | Module): The pair criterion to weigh. Defaults to
            ``dict(type='SigmoidPairLoss')`` (eq. 35); ``dict(type='SoftmaxPairLoss')`` gives
            eq. 26.
        average (str): The reduction 'mean' of the criterion is over 'samples', ``sum(w l) / N``, or
            over their 'weights', ``sum(w l) / sum(w)``: then a batch of rare classes counts no more
            than one of frequent classes. With several processes, each divides by its own sum of
            weights. Defaults to 'samples'.

    Shape:
        similarity (N, K), target (N,) labels or (N, K) soft labels (a sample's weight is then the
        mixture of its classes' weights) -> ().

    Raises:
        ValueError: An argument outside its range, or another number of classes than the counts
            have.

    Source:
        BCE3S, eqs. 26 and 35; DBM, eqs. 3 and 10 (on DBM's logits: DBM-CB): all with 'samples'.
        DBM's released code averages over the 'weights', as weighted cross-entropy does in torch.

    Example:
        >>> loss = ClassBalancedLoss([90, 10], beta=0.9)
        >>> loss(torch.zeros(1, 2), torch.tensor([0])) < loss(torch.zeros(1, 2), torch.tensor([1]))
        tensor(True)
    """

    def __init__(
        self, class_counts, beta=0.9999, normalize=True, criterion=None, average='samples'
    ):
        super().__init__()
        if average not in ('samples', 'weights'):
            raise ValueError(f"average must be 'samples' or 'weights', got {average!r}")
        self.average = average
        weights = effective_number_weights(
            load_class_counts(class_counts), beta, normalize=normalize
        )
        # Derived from the class counts, so no business of a checkpoint.
        self.register_buffer('class_weight', weights.float(), persistent=False)
        self.criterion = build_part(criterion or dict(type='SigmoidPairLoss'))

    def forward(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None = None,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the weighted loss; ``weight`` (N,) multiplies the classes' weights."""
        if similarity.shape[-1] != len(self.class_weight):
            raise ValueError(
                f'class_counts has {len(self.class_weight)} classes, similarity has '
                f'{similarity.shape[-1]}'
            )
        if target.dim() == 1:
            sample_weight = self.class_weight[target]
        elif target.shape != similarity.shape:
            raise ValueError(
                f'target must have shape {tuple(similarity.shape)} for soft labels, '
                f'got {tuple(target.shape)}'
            )
        else:
            sample_weight = (target.to(self.class_weight) * self.class_weight).sum(dim=1)
        if weight is not None:
            sample_weight = sample_weight * weight
        if self.average == 'weights':
            # Weights of mean 1: the criterion's own mean over N is then the weighted one. Clamped,
            # so that a batch without weight has loss 0, not NaN.
            total = sample_weight.sum().clamp(min=torch.finfo(sample_weight.dtype).tiny)
            sample_weight = sample_weight * len(sample_weight) / total
        return self.criterion(similarity, target, weight=sample_weight, negative_mask=negative_mask)
