import numpy as np
import torch
from mmengine.dataset import force_full_init
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample

from mmlt.datasets.labels import read_labels
from mmlt.datasets.wrapper import DatasetWrapper
from mmlt.functional.priors import sampling_probabilities


@DATASETS.register_module()
class MixPartnerDataset(DatasetWrapper):
    r"""Add to each image of a dataset a partner to mix it with, drawn from the whole dataset.

    .. math:: P(\text{partner of class } j) = n_j^{1 - power} / \sum_i n_i^{1 - power}

    and uniformly within the class, which is a weight of :math:`n_j^{-power}` for each image. An
    item's ``inputs`` become ``[image, partner image]``, both through the dataset's pipeline, and
    its data sample gets the field ``partner_label``. :class:`MultiViewDataPreprocessor` with
    ``partner='weighted'`` mixes them. An epoch loads twice the images.

    The partner is drawn from NumPy's global generator, which mmengine and :class:`EpochSeedHook`
    seed in every worker; what a draw gives depends on the number of workers, as augmentations do.

    Args:
        dataset (dict | Dataset): config or instance of a single-label training set, whose pipeline
            packs one image (``PackInputs``).
        power (float): >= 0. 0: all images alike; 1: all classes alike; above it, rare classes are
            partners more often than frequent ones. Defaults to 1.0.
        lazy_init (bool): wait with reading the data until they are needed. Defaults to False, or
            to the ``lazy_init`` of the dataset config.

    Attributes:
        partner_probabilities (ndarray): of each class, (K,), K = largest label + 1.

    Raises:
        TypeError: a dataset that does not tell its labels, or an item that is not packed.
        ValueError: ``power`` negative or not finite, or several views of an image.

    Source: BCE3S, released code: mixup and cutmix with a second batch from a weighted sampler,
        weights :math:`1 / n_j^q`. The published run has q = 0.

    Example:
        >>> data = MixPartnerDataset(dict(type='DigitsLT', pipeline=[dict(type='PackInputs')]))
        >>> item = data[0]
        >>> len(item['inputs']), item['data_samples'].partner_label.shape
        (2, torch.Size([1]))
    """

    def __init__(self, dataset, power=1.0, lazy_init=None):
        sampling_probabilities([1], power)  # a bad power is told now, not when data are read
        if isinstance(dataset, dict):
            if lazy_init is None:
                lazy_init = dataset.get('lazy_init', False)
            dataset = DATASETS.build(dataset)
        self.dataset = dataset
        self.power = power
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def class_to_idx(self) -> dict:
        """Label of every class name."""
        return self.dataset.class_to_idx

    def full_init(self) -> None:
        """Read the labels of the wrapped dataset."""
        if self._fully_initialized:
            return
        self._labels = read_labels(self.dataset).astype(np.int64)
        counts = np.bincount(self._labels)
        probabilities = sampling_probabilities(torch.from_numpy(counts), self.power)
        self.partner_probabilities = probabilities.numpy()
        self._cumulative = self.partner_probabilities.cumsum()
        # The last one is 1 exactly, so that no draw lies beyond it.
        self._cumulative /= self._cumulative[-1]
        members = np.argsort(self._labels, kind='stable')
        self._members = np.split(members, counts.cumsum()[:-1])
        self._fully_initialized = True

    def _draw_partner(self) -> int:
        # Empty classes add nothing to the sum, and 'right' steps over them.
        label = np.searchsorted(self._cumulative, np.random.random_sample(), side='right')
        members = self._members[label]
        return int(members[np.random.randint(len(members))])

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Annotation of the idx-th image."""
        return self.dataset.get_data_info(idx)

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """Label of the idx-th image, in a list."""
        return [int(self._labels[idx])]

    @force_full_init
    def get_gt_labels(self) -> np.ndarray:
        """Labels of all images."""
        return self._labels

    @force_full_init
    def __getitem__(self, idx: int) -> dict:
        item, partner = (_checked(self.dataset[i]) for i in (idx, self._draw_partner()))
        sample = item['data_samples']
        sample.set_field(partner['data_samples'].gt_label, 'partner_label', dtype=torch.Tensor)
        return dict(item, inputs=[item['inputs'], partner['inputs']])

    @force_full_init
    def __len__(self) -> int:
        return len(self.dataset)

    def __repr__(self) -> str:
        head = f'Dataset MixPartnerDataset (power {self.power}) of'
        return '\n'.join([head, *(f'    {line}' for line in repr(self.dataset).split('\n'))])


def _checked(item) -> dict:
    if not isinstance(item, dict) or not isinstance(item.get('data_samples'), DataSample):
        raise TypeError(
            'MixPartnerDataset needs a pipeline that ends with PackInputs, the wrapped dataset '
            f'gives {type(item).__name__}'
            + (f' with {sorted(item)}' if isinstance(item, dict) else '')
        )
    if not isinstance(item['inputs'], torch.Tensor):
        raise ValueError(
            'MixPartnerDataset takes one view of each image, the wrapped dataset gives '
            f'{len(item["inputs"])}: MultiView and partners do not go together'
        )
    return item
