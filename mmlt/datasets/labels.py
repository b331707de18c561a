"""The labels of a dataset, through wrappers and without an image."""

import numpy as np


def read_labels(dataset) -> np.ndarray:
    """Return the label of every sample of a dataset or of a wrapper around one; no image is read.

    Args:
        dataset (Sized): anything with ``get_gt_labels()`` or ``get_data_info(idx)['gt_label']``:
            mmpretrain's datasets, :class:`LongTailedDataset`, mmengine's wrappers around them.

    Returns:
        ndarray: integers >= 0 (N,), N >= 1.

    Raises:
        TypeError: the dataset does not tell its labels.
        ValueError: no samples, or labels that are not one integer >= 0 each.

    Example:
        >>> from mmlt.datasets import DigitsLT
        >>> read_labels(DigitsLT('test'))[:3]
        array([3, 5, 7])
    """
    name = type(dataset).__name__
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    wanted = f'one integer label >= 0 for each of the {len(dataset)} samples of {name} is needed'
    try:
        if hasattr(dataset, 'get_gt_labels'):
            labels = np.asarray(dataset.get_gt_labels())
        else:
            # mmengine's ConcatDataset and RepeatDataset offer this and no get_cat_ids.
            infos = map(dataset.get_data_info, range(len(dataset)))
            labels = np.array([info['gt_label'] for info in infos])
    except (AttributeError, KeyError) as error:
        raise TypeError(
            f'dataset must have get_gt_labels() or get_data_info(idx)["gt_label"], {name} does '
            f'not: {error!r}'
        ) from error
    except ValueError as error:  # NumPy's, of lists of different lengths
        raise ValueError(f'{wanted}: {error}') from error
    if len(labels) == 0:
        raise ValueError(f'{name} has no samples')
    # Their number is not compared: num_batch_per_epoch shortens a dataset, but not its labels.
    if labels.ndim != 1:
        raise ValueError(f'{wanted}, got labels of shape {labels.shape}')
    if labels.dtype.kind not in 'iu':
        raise ValueError(f'{wanted}, got {labels.dtype}')
    if labels.min() < 0:
        raise ValueError(f'{wanted}, got {labels.min()}')
    return labels
