import json

from mmpretrain.registry import DATASETS

from mmlt.datasets.path_label_dataset import PathLabelDataset
from mmlt.datasets.path_label_list import (
    Entry,
    check_label,
    check_listed_once,
    check_path,
    read_path_label_list,
    read_text,
)


@DATASETS.register_module()
class INaturalist2018(PathLabelDataset):
    """iNaturalist 2018: 437,513 training images of 8,142 species, 1,000 to 2 each.

    Reads the official train2018.json / val2018.json (label = category_id), or the lists
    iNaturalist18_{train,val}.txt; both name images ``train_val2018/<group>/<species>/x.jpg``.

    Args:
        ann_file (str): a '.json' or '.json.gz' file in COCO style, or a ``path label`` list.
        data_root, data_prefix, num_classes, check_files, **kwargs: see
            :class:`PathLabelDataset`; ``num_classes`` is 8142 unless given.

    Raises:
        FileNotFoundError, ValueError: see :class:`PathLabelDataset`.

    Source: Van Horn et al., The iNaturalist Species Classification and Detection Dataset
        (CVPR 2018), 2018 competition.

    Example:
        >>> INaturalist2018('train2018.json', data_root='data/inaturalist2018')
        ... # doctest: +SKIP
    """

    NUM_CLASSES = 8142
    HOW_TO_GET = (
        'train_val2018.tar.gz and the JSON files are at '
        'github.com/visipedia/inat_comp (2018 competition); '
        'tools/dataset_converters/README.md shows the expected folders'
    )

    def load_entries(self) -> list[Entry]:
        """Read either kind of annotation file."""
        if _is_json(self.ann_file):
            return read_coco_labels(self.ann_file, self.num_classes)
        return read_path_label_list(self.ann_file, self.num_classes)

    def where(self, entry: Entry) -> str:
        """Name the line, or the number of the annotation in a JSON file."""
        if _is_json(self.ann_file):
            return f'{self.ann_file}, annotation {entry.line}'
        return super().where(entry)


def read_coco_labels(path: str, num_classes: int | None = None) -> list[Entry]:
    """Return (file name, category id, number of the annotation from 1) of a COCO-style file.

    Args:
        path (str): JSON with 'images' (id, file_name) and 'annotations' (image_id, category_id),
            plain or gzip.
        num_classes (int | None): category ids must lie in 0..num_classes - 1. None: any >= 0.

    Raises:
        ValueError: not such a file, an annotation without its image, a label out of range.

    Example:
        >>> read_coco_labels('train2018.json', 8142)[0].label  # doctest: +SKIP
        5690
    """
    try:
        content = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from error
    keys = ('images', 'annotations')
    if not isinstance(content, dict) or any(not content.get(key) for key in keys):
        held = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f'{path} must hold non-empty {keys}, got {held}')
    for key in keys:
        if not isinstance(content[key], list):
            raise ValueError(f'{path}: {key} must be a list, got {type(content[key]).__name__}')
    names = _names(path, content['images'])
    entries = []
    for number, item in enumerate(content['annotations'], start=1):
        where = f'{path}, annotation {number}'
        image, label = _fields(item, ('image_id', 'category_id'), where)
        if type(image) not in (int, str) or image not in names:
            raise ValueError(f'{where}: no image or label: no image has the id {image!r}')
        if type(label) is not int:
            raise ValueError(f'{where}: category_id must be an integer, got {label!r}')
        check_label(label, num_classes, where)
        entries.append(Entry(names[image], label, number))
    check_listed_once(entries, lambda entry: f'{path}, annotation {entry.line}')
    return entries


def _names(path: str, images: list) -> dict:
    names = {}
    for number, image in enumerate(images, start=1):
        where = f'{path}, image {number}'
        key, name = _fields(image, ('id', 'file_name'), where)
        if type(key) not in (int, str) or not isinstance(name, str) or not name:
            raise ValueError(
                f'{where}: id {key!r} and file_name {name!r} must be a number and text'
            )
        check_path(name, where)
        if names.setdefault(key, name) != name:
            raise ValueError(f'{where}: id {key!r} is that of {names[key]!r} too')
    return names


def _fields(item, keys: tuple[str, str], where: str) -> list:
    if not isinstance(item, dict):
        raise ValueError(f'{where}: expected an object with {keys}, got {str(item)[:80]}')
    for key in keys:
        if key not in item:
            kind = 'image' if 'id' in keys else 'annotation'
            raise ValueError(f'{where}: every {kind} needs {keys}, missing {key!r}')
    return [item[key] for key in keys]


def _is_json(path: str) -> bool:
    return path.removesuffix('.gz').endswith('.json')
