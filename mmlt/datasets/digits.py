import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

TEST_IMAGES_PER_CLASS = 60


@DATASETS.register_module()
class DigitsLT(BaseDataset):
    """Scikit-learn's bundled handwritten digits, split once into training and test images.

    1,797 scans of 8 x 8 pixels in ten classes; nothing is downloaded. This is the balanced base:
    put it into :class:`LongTailedDataset` with ``class_counts='digits-lt-if50'`` for a long tail.
    The test set has 60 images a class, the training set the other 114 to 123.

    Args:
        split (str): 'train' or 'test'.
        seed (int): seed of the stratified draw of the test images; another seed is another
            benchmark. Defaults to 0.
        pipeline (Sequence): transforms of a sample; the image is there already, in 'img', as
            uint8 (8, 8, 3) with three equal channels, so no LoadImageFromFile.
        **kwargs: other arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        ValueError: another split.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998); the
        split is ours. Scikit-learn holds UCI's test part, without the writers' names.

    Example:
        >>> len(DigitsLT('train')), len(DigitsLT('test'))
        (1197, 600)
    """

    METAINFO = {'classes': tuple('0123456789')}

    def __init__(self, split: str = 'train', seed: int = 0, pipeline=(), **kwargs):
        if split not in ('train', 'test'):
            raise ValueError(f"DigitsLT: split must be 'train' or 'test', got {split!r}")
        self.split = split
        self.seed = seed
        super().__init__(ann_file='', pipeline=pipeline, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Load the images and labels of the split, in scikit-learn's order."""
        # Imported here: it takes a second that runs on other data need not pay.
        from sklearn.datasets import load_digits

        digits = load_digits()
        rng = np.random.RandomState(self.seed)
        is_test = np.zeros(len(digits.target), dtype=bool)
        for label in range(len(self.METAINFO['classes'])):
            members = rng.permutation(np.flatnonzero(digits.target == label))
            is_test[members[:TEST_IMAGES_PER_CLASS]] = True
        # 16 grey levels above zero become 0..255.
        images = np.round(digits.images * (255 / 16)).astype(np.uint8)
        return [
            {'img': np.repeat(images[i, :, :, None], 3, axis=2), 'gt_label': int(digits.target[i])}
            for i in np.flatnonzero(is_test == (self.split == 'test'))
        ]

    def extra_repr(self) -> list[str]:
        """Lines of the dataset's printed form."""
        return [f'Split: \t{self.split} (seed {self.seed})']
