"""Accuracy of each expert beside that of all together."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS


@METRICS.register_module()
class ExpertAccuracy(BaseMetric):
    r"""Top-1 accuracy in percent, over samples, of each expert of :class:`ExpertsHead`.

    Logs ``expert/0``, ``expert/1``, ... and their mean, ``expert/mean``: the mean of the
    accuracies, not the accuracy of the mean, which is ``shot/all`` of :class:`ShotAccuracy`. With
    test-time augmentation by :class:`AverageLogitsTTA` they are those of the averaged passes;
    mmpretrain's ``AverageClsScoreTTA`` leaves each expert's scores of the first pass.

    Args:
        collect_device (str): 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Defaults to 'expert'.

    Raises:
        KeyError: Data samples without ``expert_scores``: the head needs ``keep_experts=True``.

    Source:
        NCL reports a single expert beside the ensemble.

    Example:
        >>> metric = ExpertAccuracy()
        >>> scores = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
        >>> metric.process(None, [dict(expert_scores=scores, gt_label=[k]) for k in (0, 0)])
        >>> metric.evaluate(size=2)
        {'expert/0': 100.0, 'expert/1': 0.0, 'expert/mean': 50.0}
    """

    default_prefix = 'expert'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep which experts are right, one item a sample: so padded ones can be cut off later."""
        if any('expert_scores' not in sample for sample in data_samples):
            raise KeyError(
                'ExpertAccuracy needs expert_scores in the data samples: set keep_experts=True in '
                'an ExpertsHead'
            )
        scores = torch.stack([sample['expert_scores'] for sample in data_samples])
        if not scores.isfinite().all():
            raise ValueError('expert_scores of the evaluated set are not finite')
        labels = torch.stack([torch.as_tensor(sample['gt_label'][0]) for sample in data_samples])
        # One transfer from the device for a batch.
        right = scores.argmax(dim=-1) == labels.to(scores.device)[:, None]
        self.results.extend(right.tolist())

    def compute_metrics(self, results: list) -> dict:
        """Compute the accuracies, in percent."""
        accuracy = 100 * torch.tensor(results, dtype=torch.float64).mean(dim=0)
        values = {str(m): value for m, value in enumerate(accuracy.tolist())}
        return values | {'mean': accuracy.mean().item()}
