"""Re-weighting by the effective number of samples, around any pair criterion."""

import torch
from mmpretrain.registry import MODELS

from mmlt.class_counts import load_class_counts
from mmlt.functional import effective_number_weights
from mmlt.models.build import build_part, merge_spec
from mmlt.models.gather import shared_total
from mmlt.models.losses.pair_criterion import PairCriterion


@MODELS.register_module()
class ClassBalancedLoss(PairCriterion):
    r"""Class-balanced criterion: :math:`\frac{1-\beta}{1-\beta^{n_y}} L(s, y)`.

    Args:
        class_counts: What :func:`mmlt.load_class_counts` takes; :class:`TripartiteHead` fills it
            in from its own when the config leaves it out.
        beta (float): In [0, 1). 0 weighs all classes alike. Defaults to 0.9999 (the paper; the
            released code has 0.99999).
        normalize (bool): Scale the weights to mean 1 over the classes, as the released code does,
            so that the loss and with it the learning rate keep their size. False gives the factor
            above as eqs. 26 and 35 print it. Defaults to True.
        criterion (dict | PairCriterion): The criterion to weigh, whose ``reduction`` and
            ``loss_weight`` count. Defaults to ``dict(type='SigmoidPairLoss')`` (eq. 35);
            ``dict(type='SoftmaxPairLoss')`` gives eq. 26.
        average (str): The reduction 'mean' of the criterion is over 'samples', ``sum(w l) / N``, or
            over their 'weights', ``sum(w l) / sum(w)``: then a batch of rare classes counts no more
            than one of frequent classes. With several processes the sums are those of the joined
            batch. Defaults to 'samples'.

    Shape:
        similarity (N, K), target (N,) labels or (N, K) soft labels (a sample's weight is then the
        mixture of its classes' weights) -> ().

    Raises:
        ValueError: An argument outside its range, another number of classes than the counts have,
            or 'weights' of a criterion that takes no mean.
        TypeError: ``criterion`` is no :class:`PairCriterion`, or weighted already.

    Source:
        BCE3S, eqs. 26 and 35; DBM, eqs. 3 and 10 (on DBM's logits: DBM-CB): all with 'samples'.
        DBM's released code averages over the 'weights', as weighted cross-entropy does in torch.

    Example:
        >>> loss = ClassBalancedLoss([90, 10], beta=0.9)
        >>> loss(torch.zeros(1, 2), torch.tensor([0])) < loss(torch.zeros(1, 2), torch.tensor([1]))
        tensor(True)
    """

    wants = ('class_counts',)

    def __init__(
        self,
        class_counts,
        beta: float = 0.9999,
        normalize: bool = True,
        criterion: dict | PairCriterion | None = None,
        average: str = 'samples',
    ):
        if average not in ('samples', 'weights'):
            raise ValueError(f"average must be 'samples' or 'weights', got {average!r}")
        counts = load_class_counts(class_counts)
        spec = merge_spec(dict(type='SigmoidPairLoss'), criterion or {})
        criterion = build_part(spec, class_counts=counts)
        if not isinstance(criterion, PairCriterion) or isinstance(criterion, ClassBalancedLoss):
            raise TypeError(
                'criterion of ClassBalancedLoss must be a PairCriterion that is not weighted yet, '
                f'got {type(criterion).__name__}'
            )
        if average == 'weights' and criterion.reduction != 'mean':
            raise ValueError(
                f"average='weights' is a mean, but criterion.reduction is {criterion.reduction!r}"
            )
        super().__init__(criterion.reduction, criterion.loss_weight)
        self.criterion = criterion
        self.average = average
        weights = effective_number_weights(counts, beta, normalize=normalize)
        # Derived from the class counts, so no business of a checkpoint.
        self.register_buffer('class_weight', weights.float(), persistent=False)

    def per_sample(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the criterion's losses (N,), without the classes' weights."""
        return self.criterion.per_sample(similarity, target, negative_mask)

    def forward(
        self,
        similarity: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None = None,
        negative_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the weighted loss; ``weight`` (N,) multiplies the classes' weights."""
        sample_weight = self.sample_weight(similarity, target)
        if weight is not None:
            sample_weight = sample_weight * weight
        if self.average == 'weights':
            # Weights of mean 1: the mean over N is then the weighted one.
            sample_weight = sample_weight * len(sample_weight) / shared_total(sample_weight)
        return super().forward(similarity, target, sample_weight, negative_mask)

    def sample_weight(self, similarity: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Weight (N,) of each sample; a soft label mixes its classes' weights."""
        if similarity.shape[-1] != len(self.class_weight):
            raise ValueError(
                f'class_counts has {len(self.class_weight)} classes, similarity has '
                f'{similarity.shape[-1]}'
            )
        if target.dim() == 1:
            return self.class_weight[target]
        if target.shape != similarity.shape:
            raise ValueError(
                f'target must have shape {tuple(similarity.shape)} for soft labels, '
                f'got {tuple(target.shape)}'
            )
        return (target.to(self.class_weight) * self.class_weight).sum(dim=1)
