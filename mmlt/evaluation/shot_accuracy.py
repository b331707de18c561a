"""Accuracy on classes with many, medium and few training images."""

import math
from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from mmlt.class_counts import load_class_counts
from mmlt.functional import shot_accuracy, shot_groups

COLUMNS = ('many', 'medium', 'few', 'all', 'macro', 'worst', 'harmonic')


@METRICS.register_module()
class ShotAccuracy(BaseMetric):
    r"""Top-1 accuracy in percent, split by the number of training images of the class.

    Logs ``shot/many``, ``shot/medium``, ``shot/few`` (mean accuracy of the group's classes; NaN if
    the group is empty), ``shot/all`` (over samples), ``shot/macro`` (over classes), ``shot/worst``
    (worst class) and ``shot/harmonic`` (harmonic mean over classes). On the main process, the last
    evaluation's accuracies of the classes are in :attr:`per_class`, their test images in
    :attr:`test_counts`.

    The prediction is the class of the largest ``pred_score``, as in mmpretrain's metrics, and
    ``pred_label`` where there are no scores: mmpretrain's test-time augmentation averages the
    scores and leaves the label of the first image.

    Args:
        class_counts: Training images per class, as :func:`mmlt.load_class_counts` takes them.
        many (int): 'many' are the classes with more images than this. Defaults to 100.
        few (int): 'few' are the classes with fewer images than this. Defaults to 20.
        collect_device (str): 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Defaults to 'shot'.

    Source:
        Liu et al. 2019 (OLTR); thresholds as in BCE3S: more than 100, 20 to 100, fewer than 20.

    Example:
        >>> metric = ShotAccuracy(class_counts=[500, 50, 5])
        >>> metric.process(None, [dict(pred_label=[0], gt_label=[k]) for k in (0, 0, 1, 2)])
        >>> results = metric.evaluate(size=4)
        >>> [results[f'shot/{name}'] for name in ('many', 'medium', 'few', 'all', 'worst')]
        [100.0, 0.0, 0.0, 50.0, 0.0]
    """

    default_prefix = 'shot'

    def __init__(
        self,
        class_counts,
        many: int = 100,
        few: int = 20,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.class_counts = load_class_counts(class_counts)
        shot_groups(self.class_counts, many, few)  # refuses bad thresholds now, not at the end
        self.many = many
        self.few = few
        self.per_class: list[float] = []
        self.test_counts: list[int] = []

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep prediction and label, one item a sample: so padded ones can be cut off later."""
        for sample in data_samples:
            if len(sample['gt_label']) != 1:
                raise ValueError(
                    f'gt_label must be one class a sample, got {len(sample["gt_label"])}'
                )
            width = len(sample.get('pred_score', self.class_counts))
            if width != len(self.class_counts):
                raise ValueError(
                    f'pred_score of the evaluated set has {width} classes, class_counts has '
                    f'{len(self.class_counts)}'
                )
        predictions = [
            _best(sample['pred_score']) if 'pred_score' in sample else sample['pred_label'][0]
            for sample in data_samples
        ]
        labels = [sample['gt_label'][0] for sample in data_samples]
        # One transfer from the device for a batch, not two for a sample.
        for prediction, label in zip(_to_list(predictions), _to_list(labels)):
            if prediction < 0:
                raise ValueError(
                    'pred_score of the evaluated set is not finite: the model has diverged, or its '
                    'weights are NaN'
                )
            if not 0 <= label < len(self.class_counts):
                raise ValueError(
                    f'label {label} of the evaluated set is not one of the '
                    f'{len(self.class_counts)} classes of class_counts'
                )
            self.results.append((prediction, label))

    def compute_metrics(self, results: list) -> dict:
        """Compute the accuracies, in percent, of all (prediction, label) pairs."""
        predictions, labels = torch.tensor(results, dtype=torch.int64).reshape(-1, 2).unbind(1)
        fractions = shot_accuracy(predictions, labels, self.class_counts, self.many, self.few)
        self.per_class = (100 * fractions['per_class']).tolist()
        self.test_counts = torch.bincount(labels, minlength=len(self.class_counts)).tolist()
        fractions['macro'] = fractions['all_macro']
        return {name: 100 * float(fractions[name]) for name in COLUMNS}


def _best(score: torch.Tensor) -> torch.Tensor:
    """The class of the largest score; -1 if the scores are no numbers, which argmax hides."""
    score = torch.as_tensor(score)
    return torch.where(score.isfinite().all(), score.argmax(), -1)


def _to_list(values: list) -> list[int]:
    return torch.stack([torch.as_tensor(value) for value in values]).tolist()


def format_shot_table(rows: dict[str, dict], prefix: str = 'shot') -> str:
    """Lay out metrics of :class:`ShotAccuracy` as a text table.

    Args:
        rows (dict): Name of a row -> its metrics, e.g. ``{'last epoch': {'shot/all': 80.1}}``.
        prefix (str): The metric's prefix. Defaults to 'shot'.

    Example:
        >>> print(format_shot_table({'last epoch': {'shot/many': 90.0, 'shot/all': 80.126}}))
                         many   medium      few      all    macro    worst harmonic
        last epoch      90.00        -        -    80.13        -        -        -
    """
    width = max([12, *(len(name) for name in rows)])
    lines = [' ' * width + ''.join(f'{column:>9}' for column in COLUMNS)]
    for name, metrics in rows.items():
        values = [metrics.get(f'{prefix}/{column}', math.nan) for column in COLUMNS]
        cells = ('-' if math.isnan(value) else f'{value:.2f}' for value in values)
        lines.append(f'{name:<{width}}' + ''.join(f'{cell:>9}' for cell in cells))
    return '\n'.join(lines)
