from collections.abc import Iterator

from mmpretrain.registry import DATASETS

from mmlt.datasets.path_label_dataset import Layout, PathLabelDataset
from mmlt.datasets.path_label_list import Entry

# (training, validation) folders of the official archives: 256 pixels, as torchvision renames
# them, full size, and the 'easy format' with one folder a scene.
_LETTERED = (
    ('data_256', 'val_256'),
    ('data_256_standard', 'val_256'),
    ('data_large', 'val_large'),
    ('data_large_standard', 'val_large'),
)


@DATASETS.register_module()
class PlacesLT(PathLabelDataset):
    """Places-LT: 62,500 training images of 365 scenes, 4,980 to 5 each.

    Reads Places_LT_{train,val,test}.txt in both circulating forms, ``train/<scene>/x.jpg`` with
    ``val/<scene>/x.jpg`` and ``data_256/<letter>/<scene>/x.jpg`` with ``val_256/x.jpg``, whichever
    of the two the disk has. The label is not the rank of the scene's folder name, so do not read
    the folders with CustomDataset.

    Args:
        ann_file, data_root, data_prefix, num_classes, check_files, **kwargs: see
            :class:`PathLabelDataset`; ``num_classes`` is 365 unless given.

    Raises:
        FileNotFoundError, ValueError: see :class:`PathLabelDataset`.

    Source: Liu et al., Large-Scale Long-Tailed Recognition in an Open World (CVPR 2019).

    Example:
        >>> PlacesLT('data/Places_LT/Places_LT_train.txt', data_root='data/places365')
        ... # doctest: +SKIP
    """

    NUM_CLASSES = 365
    HOW_TO_GET = (
        'the images are at places2.csail.mit.edu/download.html (Places365-Standard, small); '
        'tools/dataset_converters/places_lt.py checks the lists, '
        'tools/dataset_converters/README.md shows the expected folders'
    )

    def layouts(self) -> Iterator[Layout]:
        """As listed, then both forms of each official archive."""
        yield from super().layouts()
        for root in ('', 'places365_standard/'):
            yield lambda entry, root=root: _by_scene(entry, root)
        for train, val in _LETTERED:
            yield lambda entry, train=train, val=val: _by_letter(entry, train, val)
        yield lambda entry: _by_letter(entry, 'train', 'val')
        for folder in ('val', 'places365_standard/val'):
            yield from self.by_file_name(folder)


def _parse(path: str) -> tuple[bool, str, str]:
    """(is a validation image, scene with '/' before its second part, file name)."""
    folder, *scene, name = path.split('/')
    if scene and len(scene[0]) == 1:
        scene = scene[1:]
    # Places365 writes a scene's second part after '/' or, as one folder, after '-'.
    return folder.startswith('val'), '/'.join(scene).replace('-', '/'), name


def _by_scene(entry: Entry, root: str) -> str | None:
    if '/' not in entry.path:
        return None
    is_val, scene, name = _parse(entry.path)
    if not scene:
        return None
    return f'{root}{"val" if is_val else "train"}/{scene.replace("/", "-")}/{name}'


def _by_letter(entry: Entry, train: str, val: str) -> str | None:
    if '/' not in entry.path:
        return None
    is_val, scene, name = _parse(entry.path)
    if is_val:
        return f'{val}/{name}'
    return f'{train}/{scene[0]}/{scene}/{name}' if scene else None
