from collections.abc import Iterator

from mmpretrain.datasets.categories import IMAGENET_CATEGORIES
from mmpretrain.registry import DATASETS

from mmlt.datasets.path_label_dataset import Layout, PathLabelDataset
from mmlt.datasets.path_label_list import Entry


@DATASETS.register_module()
class ImageNetLT(PathLabelDataset):
    """ImageNet-LT: 115,846 training images of 1,000 classes, 1,280 to 5 each.

    Reads ImageNet_LT_{train,val,test}.txt; train and val name ILSVRC-2012 training images, test
    its validation images. On disk, the latter may lie in class folders or in one flat folder,
    and all of it below ``ILSVRC/Data/CLS-LOC`` as Kaggle packs it.

    Args:
        ann_file, data_root, data_prefix, num_classes, check_files, **kwargs: see
            :class:`PathLabelDataset`; ``num_classes`` is 1000 unless given.

    Raises:
        FileNotFoundError, ValueError: see :class:`PathLabelDataset`.

    Source: Liu et al., Large-Scale Long-Tailed Recognition in an Open World (CVPR 2019).

    Example:
        >>> ImageNetLT('data/ImageNet_LT/ImageNet_LT_train.txt', data_root='data/imagenet')
        ... # doctest: +SKIP
    """

    METAINFO = {'classes': IMAGENET_CATEGORIES}
    NUM_CLASSES = 1000
    HOW_TO_GET = (
        'ILSVRC-2012 needs an account at image-net.org; tools/dataset_converters/imagenet_lt.py '
        'checks the lists, tools/dataset_converters/README.md shows the expected folders'
    )

    def layouts(self) -> Iterator[Layout]:
        """ImageNet's file names are unique, so the folders in front may be dropped or added."""
        yield from super().layouts()
        for prefix in ('ILSVRC/Data/CLS-LOC', 'Data/CLS-LOC', 'ILSVRC2012'):
            yield lambda entry, prefix=prefix: f'{prefix}/{entry.path}'
            yield lambda entry, prefix=prefix: _flat(entry, f'{prefix}/')
        yield _flat
        yield lambda entry: entry.path.rsplit('/', 1)[-1]
        yield from self.by_file_name('val')


def _flat(entry: Entry, prefix: str = '') -> str | None:
    parts = entry.path.split('/')
    return f'{prefix}{"/".join(parts[:-2])}/{parts[-1]}' if len(parts) > 2 else None
