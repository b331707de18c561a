"""Draw the images of rare classes more often than an epoch over all images would."""

import math
from collections.abc import Iterator
from numbers import Integral, Real

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmpretrain.registry import DATA_SAMPLERS

from mmlt.datasets.labels import read_labels
from mmlt.functional.priors import sampling_probabilities


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(DefaultSampler):
    r"""Draw a class with a probability that depends on its size, then one of its images uniformly.

    .. math::
        p_k = n_k^{1 - power} / \sum_j n_j^{1 - power}

    for the :math:`n_k` images of class k, which is a weight of :math:`n_k^{-power}` for each of
    them. Draws are with replacement: an epoch repeats images of rare classes and leaves out some of
    the frequent ones. Only when all images are equally likely by design (``power=0``, or the first
    progressive epoch) is it a permutation, :class:`mmengine.dataset.DefaultSampler`'s of the seed.

    The list of an epoch is a function of (seed, epoch), so a resumed run of the same ``randomness``
    seed repeats the unbroken one. Each process takes its share of the same list: W processes draw
    what one draws.

    A criterion with class priors, margins or weights corrects for the class sizes as well, so
    together with this sampler it corrects twice.

    Args:
        dataset (Sized): anything with ``get_gt_labels()`` or ``get_data_info(idx)['gt_label']``:
            mmpretrain's datasets, :class:`LongTailedDataset`, mmengine's wrappers around them. The
            runner gives it. Labels are read once, images are not.
        power (float): >= 0. 0: images equally likely; 0.5: square root; 1: classes equally likely;
            2: classes in inverse proportion to their size. Defaults to 1.
        progressive_epochs (int | None): T >= 1. Go linearly from the class shares
            :math:`n_k / \sum_j n_j` in epoch 0 to the above in epoch T - 1, and stay there;
            1 is the same as None, which starts there. Defaults to None.
        num_samples (int | None): draws of an epoch over all processes, >= 1. Defaults to None: the
            number of images.
        seed (int | None): the same in all processes. The runner gives it; None: drawn and shared.
        round_up (bool): repeat the head of the list until it divides evenly among the processes.
            Defaults to True.

    Attributes:
        class_counts (Tensor): images per class, int64 (K,), K = largest label + 1.

    Raises:
        TypeError: an argument of another type; a dataset that does not tell its labels.
        ValueError: ``power`` negative (it would favour the frequent classes even more) or not
            finite, a count < 1, no images, labels that are not one integer >= 0 an image.

    Source: Kang et al., Decoupling Representation and Classifier (ICLR 2020), eqs. 1 and 2; their
        q is 1 - ``power``. In eq. 2 the share is t / T, so that the last of the T epochs is not
        quite balanced; here it is t / (T - 1). ``power=2`` is the reversed sampler of Zhou et al.,
        BBN (CVPR 2020).

    Example:
        >>> class Labels(list):
        ...     def get_gt_labels(self):
        ...         return self
        >>> dataset = Labels([0] * 90 + [1] * 10)
        >>> ClassBalancedSampler(dataset, power=0.5).class_probabilities()
        tensor([0.7500, 0.2500], dtype=torch.float64)
        >>> sampler = ClassBalancedSampler(dataset, progressive_epochs=9, seed=0)
        >>> sampler.set_epoch(4)
        >>> sampler.class_probabilities()
        tensor([0.7000, 0.3000], dtype=torch.float64)

        In a config: ``train_dataloader = dict(sampler=dict(type='ClassBalancedSampler'), ...)``
    """

    def __init__(
        self,
        dataset,
        power: float = 1.0,
        progressive_epochs: int | None = None,
        num_samples: int | None = None,
        seed: int | None = None,
        round_up: bool = True,
    ):
        if isinstance(power, bool) or not isinstance(power, Real):
            raise TypeError(f'power must be a number, got {power!r}')
        if not 0 <= power < math.inf:
            raise ValueError(f'power must be >= 0 and finite, got {power}')
        _check_count(progressive_epochs, 'progressive_epochs')
        _check_count(num_samples, 'num_samples')
        labels = torch.from_numpy(read_labels(dataset).astype(np.int64))
        if len(labels) != len(dataset):
            raise ValueError(
                f'the dataset has {len(dataset)} samples and {len(labels)} labels; to shorten an '
                'epoch, use num_samples of the sampler and not num_batch_per_epoch'
            )
        self.num_draws = len(labels) if num_samples is None else num_samples
        # The base class splits a list of this length; which images are in it is decided here.
        super().__init__(range(self.num_draws), seed=seed, round_up=round_up)
        self.dataset = dataset
        self.power = power
        self.progressive_epochs = progressive_epochs
        self.class_counts = torch.bincount(labels)
        self._members = labels.argsort(stable=True)  # class after class
        self._first_member = self.class_counts.cumsum(0) - self.class_counts

    def class_probabilities(self) -> torch.Tensor:
        """Probability of each class in the current epoch: float64 (K,), 0 without images."""
        counts = self.class_counts.double()
        balanced = sampling_probabilities(counts, self.power)
        return torch.lerp(counts / counts.sum(), balanced, self._progress())

    def __iter__(self) -> Iterator[int]:
        """Positions of this process's images in the dataset."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        draws = self._draw(generator)
        if self.round_up:
            draws = draws.repeat(math.ceil(self.total_size / len(draws)))
        return iter(draws[self.rank : self.total_size : self.world_size].tolist())

    def _draw(self, generator: torch.Generator) -> torch.Tensor:
        if self.power * self._progress() == 0:
            size = len(self._members)
            rounds = math.ceil(self.num_draws / size)
            orders = [torch.randperm(size, generator=generator) for _ in range(rounds)]
            return torch.cat(orders)[: self.num_draws]
        # Not torch.multinomial over the images: it takes 2^24 categories at most.
        classes = torch.multinomial(
            self.class_probabilities(), self.num_draws, replacement=True, generator=generator
        )
        uniform = torch.rand(self.num_draws, dtype=torch.float64, generator=generator)
        position = (uniform * self.class_counts[classes]).long()
        return self._members[self._first_member[classes] + position]

    def _progress(self) -> float:
        if self.progressive_epochs is None or self.progressive_epochs == 1:
            return 1.0
        return min(1.0, self.epoch / (self.progressive_epochs - 1))


def _check_count(value: int | None, name: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f'{name} must be an integer or None, got {value!r}')
    if value < 1:
        raise ValueError(f'{name} must be >= 1, got {value}')
