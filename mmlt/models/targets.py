"""Labels of a batch of one or several views."""

from dataclasses import dataclass

import torch
from mmpretrain.structures import DataSample


@dataclass(frozen=True)
class ViewSamples:
    """The data samples of the plain view, with the targets of all views as batched tensors.

    What ``MultiViewDataPreprocessor`` hands to the head: thousands of data samples for the mixed
    views would cost more than the loss.

    Args:
        samples (list[DataSample]): N samples of the plain view.
        targets (tuple[Tensor]): V x (N,) labels or (N, K) soft labels.

    Example:
        >>> batch = ViewSamples([DataSample()] * 2, (torch.tensor([0, 1]),) * 3)
        >>> len(batch), len(batch.targets)
        (2, 3)
    """

    samples: list
    targets: tuple

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self):
        return iter(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def view_targets(data_samples) -> tuple[torch.Tensor, ...]:
    """Targets of each view, (N,) labels or (N, K) soft labels.

    Args:
        data_samples (ViewSamples | list[DataSample]): A list without the meta field ``view`` is one
            view.

    Raises:
        ValueError: No samples, views that are not of the same size, one after the other, or samples
            without a label.

    Example:
        >>> view_targets([DataSample().set_gt_label(k) for k in (1, 2)])
        (tensor([1, 2]),)
    """
    if isinstance(data_samples, ViewSamples):
        return data_samples.targets
    return tuple(stack_target(samples) for samples in split_views(data_samples))


def split_views(data_samples: list[DataSample]) -> list[list[DataSample]]:
    """Split a batch into its views, by the meta field ``view``.

    Samples without the field are one view.

    Raises:
        ValueError: The views are not of the same size, one after the other.

    Example:
        >>> batch = [DataSample(metainfo=dict(view=view)) for view in (0, 0, 1, 1, 2, 2)]
        >>> len(split_views(batch)), len(split_views(batch[:2]))
        (3, 1)
    """
    if not data_samples:
        raise ValueError('data_samples is empty')
    num_views = data_samples[-1].get('view', 0) + 1
    size = len(data_samples) // num_views
    found = [sample.get('view', 0) for sample in data_samples]
    if found != [view for view in range(num_views) for _ in range(size)]:
        raise ValueError(
            'data_samples must hold the same number of samples for each view, view after view; '
            f'got views {found}'
        )
    return [data_samples[view * size : (view + 1) * size] for view in range(num_views)]


def stack_target(data_samples: list[DataSample]) -> torch.Tensor:
    """Soft labels (N, K) where the samples have them, else labels (N,).

    Scores that are integers, as ``to_onehot=True`` of mmpretrain's preprocessor makes them, are
    labels written in another way.

    Raises:
        ValueError: The samples have neither, or not one label each.
    """
    sizes = {len(sample.gt_label) for sample in data_samples if 'gt_label' in sample}
    if sizes - {1}:
        raise ValueError(
            'a head of mmlt needs one label an image, but the images of this batch have '
            f'{sorted(sizes)} labels: multi-label data are not supported'
        )
    if 'gt_score' in data_samples[0]:
        score = torch.stack([sample.gt_score for sample in data_samples])
        return score if score.is_floating_point() else score.argmax(dim=1)
    if 'gt_label' not in data_samples[0]:
        raise ValueError('data_samples have neither gt_label nor gt_score: the head needs labels')
    return torch.cat([sample.gt_label for sample in data_samples])


def pure_labels(target: torch.Tensor) -> torch.Tensor:
    """Labels (N,) of a target (N,) or (N, K); -1 where an image is a mixture of classes.

    Example:
        >>> pure_labels(torch.tensor([[0.0, 1.0], [0.3, 0.7]]))
        tensor([ 1, -1])
    """
    if target.dim() == 1:
        return target
    score, label = target.max(dim=1)
    return torch.where(score >= 1, label, -1)


def one_hot(target: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Soft labels (N, K) of a target (N,) or (N, K).

    Example:
        >>> one_hot(torch.tensor([1]), 3)
        tensor([[0., 1., 0.]])
    """
    if target.dim() == 2:
        return target
    # F.one_hot looks at the values first, and so waits for the device.
    scores = torch.zeros(len(target), num_classes, device=target.device)
    return scores.scatter_(1, target.unsqueeze(1), 1.0)
