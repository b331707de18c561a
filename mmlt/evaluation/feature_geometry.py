"""Compactness and separability of the features, over classes and by shot group."""

from collections.abc import Sequence

import torch
from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    collect_results,
    get_rank,
    get_world_size,
)
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from mmlt.class_counts import load_class_counts
from mmlt.evaluation.geometry_statistics import GeometryStatistics
from mmlt.evaluation.second_pass import SecondPass
from mmlt.functional.geometry import CENTERINGS
from mmlt.functional.shots import shot_groups


@METRICS.register_module()
class FeatureGeometry(BaseMetric):
    r"""Compactness and separability of the evaluated features, in percent.

    Logs ``geometry/compactness`` and ``geometry/compactness_std`` (mean and standard deviation over
    classes), ``geometry/compactness_many``, ``..._medium`` and ``..._few`` (mean over the group's
    classes), and the same of ``separability``. Classes without a value are left out: those not
    evaluated, for compactness also those of one sample. NaN where no class is left.

    The head must put the features into the data samples: ``keep_features=True``.

    A process keeps sums, O(K D) numbers, and for the separability, which takes the means of all
    processes first, the features of its own samples, O(N D / processes). Only sums travel between
    the processes. What the sampler added to make their shares equal is left out by the rule of
    ``BaseMetric``: results are taken in turn from each process, and those past the size of the
    dataset are dropped. So two processes give the numbers of one, up to rounding.

    Attributes:
        per_class (dict): On the main process, the last evaluation's values: 'compactness' and, if
            measured, 'separability' -> (K,) float64, in percent, NaN for a class without a value.

    Args:
        class_counts: Training images per class, as :func:`mmlt.load_class_counts` takes them.
        many (int): 'many' are the classes with more images than this. Defaults to 100.
        few (int): 'few' are the classes with fewer images than this. Defaults to 20.
        separability (str, optional): The centring of
            :func:`mmlt.functional.feature_separability`: 'class', as printed, which is near 50 by
            construction, or 'global'. None: not measured, and no features are kept. Defaults to
            'class'.
        collect_device (str): 'cpu' or 'gpu'. Defaults to 'cpu'.
        prefix (str, optional): Defaults to 'geometry'.

    Source:
        BCE3S, eqs. 14 and 15, figs. 2, 7 and 10. Mean and deviation are taken over classes as in
        the figures, the deviation over K, not K - 1; the groups are this library's addition.

    Example:
        >>> metric = FeatureGeometry(class_counts=[500, 5], separability='global')
        >>> features = torch.tensor([[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-3.0, 0.0]])
        >>> samples = [dict(features=x, gt_label=[k]) for x, k in zip(features, (0, 0, 1, 1))]
        >>> metric.process(None, samples)
        >>> results = metric.evaluate(size=4)
        >>> [results[f'geometry/compactness{name}'] for name in ('', '_std', '_many', '_few')]
        [75.0, 25.0, 50.0, 100.0]
    """

    default_prefix = 'geometry'

    def __init__(
        self,
        class_counts,
        many: int = 100,
        few: int = 20,
        separability: str | None = 'class',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.class_counts = load_class_counts(class_counts)
        self.num_classes = len(self.class_counts)
        self.groups = shot_groups(self.class_counts, many, few)
        if separability not in (*CENTERINGS, None):
            raise ValueError(
                f"separability must be 'class', 'global' or None, got {separability!r}"
            )
        self.separability = separability
        self.per_class: dict[str, torch.Tensor] = {}
        self._statistics: GeometryStatistics | None = None
        self._summed = 0  # samples in the statistics, and no longer in the results

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep features and labels of the batch; without separability, of the last batch alone."""
        batch = self._read(data_samples)
        if self.separability is None and self.results:
            # What padding there is stands at the end, so an earlier batch can be summed now.
            self._add(self.results.pop())
        self.results.append(batch)

    def evaluate(self, size: int) -> dict:
        """Sum over what is no padding, join the sums of all processes and measure.

        Args:
            size (int): Number of samples of the dataset.
        """
        self._drop_padding(size)
        for batch in self.results:
            self._add(batch)
        # The means of all, for every process: then each can go over its own features again.
        parts = collect_results([self._statistics], get_world_size(), self.collect_device)
        joined = [_merge(parts) if parts else None]
        broadcast_object_list(joined)
        statistics = joined[0] or GeometryStatistics(self.num_classes, 1, scatter=None)
        second = None
        if self.separability is not None:
            second = statistics.second_pass()
            for features, labels in self.results:
                second.update(features, labels)
        self.results = [dict(statistics=statistics if get_rank() == 0 else None, second=second)]
        self._statistics, self._summed = None, 0
        return super().evaluate(size=get_world_size())

    def compute_metrics(self, results: list[dict]) -> dict:
        """Compute mean, deviation and group means, in percent, from the sums of all processes."""
        self.per_class = {'compactness': results[0]['statistics'].compactness()}
        if self.separability is not None:
            second = _merge([part['second'] for part in results])
            self.per_class['separability'] = second.separability(self.separability)
        metrics = {}
        for name, values in self.per_class.items():
            found = ~values.isnan()
            metrics[name] = values[found].mean().item()
            spread = (values[found] - metrics[name]).square().mean().sqrt()
            metrics[f'{name}_std'] = spread.item()
            for group, inside in self.groups.items():
                metrics[f'{name}_{group}'] = values[found & inside].mean().item()
        return metrics

    def _read(self, data_samples: Sequence[dict]) -> tuple[torch.Tensor, torch.Tensor]:
        """Stack features (N, D) and labels (N,): one transfer from the device for each."""
        for sample in data_samples:
            if 'features' not in sample:
                raise ValueError(
                    'FeatureGeometry needs features in each data sample, so keep_features=True in '
                    f'the head, got {sorted(sample)}'
                )
        features = torch.stack([torch.as_tensor(s['features']) for s in data_samples]).cpu()
        labels = torch.stack([torch.as_tensor(s['gt_label']) for s in data_samples]).cpu()
        if features.dim() != 2:
            raise ValueError(
                f'features must be a vector in each data sample, got {tuple(features.shape[1:])}'
            )
        if labels.shape[1:] != (1,):
            raise ValueError(f'gt_label must be one class a sample, got {tuple(labels.shape[1:])}')
        labels = labels[:, 0]
        outside = labels[(labels < 0) | (labels >= self.num_classes)]
        if len(outside):
            raise ValueError(
                f'label {outside[0].item()} of the evaluated set is not one of the '
                f'{self.num_classes} classes of class_counts'
            )
        return features, labels

    def _add(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        features, labels = batch
        if self._statistics is None:
            self._statistics = GeometryStatistics(self.num_classes, features.shape[1], scatter=None)
        self._statistics.update(features, labels)
        self._summed += len(labels)

    def _drop_padding(self, size: int) -> None:
        """Leave the samples that ``collect_results`` would, had each been a result."""
        own = self._summed + sum(len(labels) for _, labels in self.results)
        kept = own - _padding(all_gather_object(own), get_rank(), size)
        if kept < self._summed:
            raise ValueError(
                f'size {size} of the dataset leaves {kept} samples of this process, but '
                f'{self._summed} are summed already: give separability, then all are kept'
            )
        room = kept - self._summed
        results = []
        for features, labels in self.results:
            results.append((features[:room], labels[:room]))
            room -= len(results[-1][1])
        self.results = results


def _padding(lengths: list[int], rank: int, size: int) -> int:
    """How many of a process's last samples come after the first ``size``, taken in turn."""
    count = 0
    for position in reversed(range(lengths[rank])):
        # Before it come as many of each other process, one more of those of lower rank.
        before = sum(min(n, position + (r < rank)) for r, n in enumerate(lengths))
        if before < size:
            break
        count += 1
    return count


def _merge(parts: list) -> GeometryStatistics | SecondPass:
    for other in parts[1:]:
        parts[0].merge(other)
    return parts[0]
