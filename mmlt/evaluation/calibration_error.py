"""Calibration error of the predicted scores, overall and by shot group."""

import json
import math
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from mmlt.class_counts import load_class_counts
from mmlt.files import write_whole
from mmlt.functional.calibration import calibration_errors, reliability_bins, top1_confidence
from mmlt.functional.shots import shot_groups


@METRICS.register_module()
class CalibrationError(BaseMetric):
    r"""Expected and maximum calibration error in percent, and the expected one by shot group.

    .. math:: ECE = 100 \sum_b \frac{|B_b|}{n} |acc(B_b) - conf(B_b)|

    Logs ``calibration/ece`` and ``calibration/mce`` and, with ``class_counts``,
    ``calibration/ece_many``, ``calibration/ece_medium`` and ``calibration/ece_few``, over the
    samples whose true class is in the group (NaN if there is none).

    Measured are the scores as predicted: the largest ``pred_score`` of a sample is its
    confidence. mmpretrain's heads fill it with the softmax of the logits, also where the criterion
    of training was a sigmoid.

    Read a group's error with care: the group is known from the label only, and scores that are
    calibrated over all samples need not be so given the label. It shows for which classes the model
    is too sure or not sure enough, not how wrong its scores are.

    Attributes:
        bins (dict): On the main process, the last evaluation's reliability bins: 'all' and, with
            ``class_counts``, 'many', 'medium' and 'few' -> arrays 'count', 'confidence',
            'accuracy' and 'edges', as of
            :func:`mmlt.functional.calibration.reliability_bins`, as fractions.

    Args:
        class_counts (optional): Training images per class, as :func:`mmlt.load_class_counts` takes
            them. Defaults to None: no groups.
        num_bins (int): Bins of equal width, >= 1. Defaults to 15.
        many (int): 'many' are the classes with more images than this. Defaults to 100.
        few (int): 'few' are the classes with fewer images than this. Defaults to 20.
        out_file (str, optional): JSON file to which the main process writes :attr:`bins` after
            each evaluation, over the last one's; NaN becomes null, missing folders are made.
        collect_device (str): 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Defaults to 'calibration'.

    Source:
        Guo et al. 2017, eqs. 3 and 5. The groups are this library's addition.

    Example:
        >>> metric = CalibrationError(class_counts=[500, 5])
        >>> samples = [dict(pred_score=[0.75, 0.25], gt_label=[k]) for k in (0, 0, 0, 1)]
        >>> metric.process(None, samples)
        >>> results = metric.evaluate(size=4)
        >>> [results[f'calibration/{name}'] for name in ('ece', 'ece_many', 'ece_few')]
        [0.0, 25.0, 75.0]
    """

    default_prefix = 'calibration'

    def __init__(
        self,
        class_counts=None,
        num_bins: int = 15,
        many: int = 100,
        few: int = 20,
        out_file: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        # Refuses a bad num_bins now, not at the end.
        reliability_bins(torch.empty(0), torch.empty(0, dtype=torch.bool), num_bins)
        self.groups = {}
        self.num_classes = None
        self.class_counts = None
        if class_counts is not None:
            self.class_counts = counts = load_class_counts(class_counts)
            self.groups = shot_groups(counts, many, few)
            self.num_classes = len(counts)
        self.num_bins = num_bins
        self.out_file = out_file
        self.bins: dict[str, dict[str, np.ndarray]] = {}

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep confidence, whether it is right, and label, one item a sample."""
        # One transfer from the device for a batch and field; then all checks are on the CPU.
        scores, labels = (_stack(data_samples, name) for name in ('pred_score', 'gt_label'))
        if self.num_classes not in (None, scores.shape[1]):
            raise ValueError(
                f'pred_score of the evaluated set has {scores.shape[1]} classes, class_counts has '
                f'{self.num_classes}'
            )
        if labels.shape[1] != 1:
            raise ValueError(f'gt_label must be one class a sample, got {labels.shape[1]}')
        labels = labels[:, 0]
        try:
            confidence, correct = top1_confidence(scores, labels)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f'pred_score and gt_label of the evaluated set are no probabilities and labels: '
                f'{error}'
            ) from error
        self.results += zip(confidence.tolist(), correct.tolist(), labels.tolist())

    def compute_metrics(self, results: list) -> dict:
        """Compute the errors, in percent, of all (confidence, correct, label) triples."""
        columns = torch.tensor(results, dtype=torch.float64).reshape(-1, 3).unbind(1)
        confidence, correct, labels = columns[0], columns[1].bool(), columns[2].long()
        bins = {'all': reliability_bins(confidence, correct, self.num_bins)}
        for name, group in self.groups.items():
            inside = group[labels]
            bins[name] = reliability_bins(confidence[inside], correct[inside], self.num_bins)
        errors = {name: calibration_errors(parts) for name, parts in bins.items()}
        self.bins = {
            name: {key: part.numpy() for key, part in parts.items()} for name, parts in bins.items()
        }
        if self.out_file is not None:
            content = {
                name: {key: _without_nan(part.tolist()) for key, part in parts.items()}
                for name, parts in bins.items()
            }
            write_whole(self.out_file, json.dumps(content))
        metrics = {name: 100 * errors['all'][name].item() for name in ('ece', 'mce')}
        metrics.update({f'ece_{name}': 100 * errors[name]['ece'].item() for name in self.groups})
        return metrics


def _without_nan(values: list) -> list:
    """Put None for NaN, which strict readers of JSON refuse."""
    return [None if math.isnan(value) else value for value in values]


def _stack(data_samples: Sequence[dict], name: str) -> torch.Tensor:
    """Stack a field of all samples, which must be vectors of one length, on the CPU."""
    for sample in data_samples:
        if name not in sample:
            raise ValueError(f'CalibrationError needs {name} in each data sample: {sorted(sample)}')
    fields = [torch.as_tensor(sample[name]) for sample in data_samples]
    shapes = sorted({tuple(field.shape) for field in fields})
    if len(shapes) != 1 or len(shapes[0]) != 1:
        raise ValueError(f'{name} must be a vector, as long in each data sample, got {shapes}')
    return torch.stack(fields).cpu()
