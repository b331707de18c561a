import json

from mmpretrain.registry import DATASETS

from mmlt.datasets.path_label_dataset import PathLabelDataset
from mmlt.datasets.path_label_list import Entry, check_label, read_path_label_list, read_text


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
    except json.JSONDecodeError as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from error
    keys = ('images', 'annotations')
    if not isinstance(content, dict) or any(not content.get(key) for key in keys):
        held = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f'{path} must hold non-empty {keys}, got {held}')
    entries = []
    try:
        names = {image['id']: image['file_name'] for image in content['images']}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: every image needs 'id' and 'file_name': {error!r}") from error
    for number, item in enumerate(content['annotations'], start=1):
        where = f'{path}, annotation {number}'
        try:
            name, label = names[item['image_id']], item['category_id']
        except KeyError as error:
            raise ValueError(f'{where}: no image or label for {item}: missing {error}') from error
        if not isinstance(label, int) or isinstance(label, bool):
            raise ValueError(f'{where}: category_id must be an integer, got {label!r}')
        check_label(label, num_classes, where)
        entries.append(Entry(name, label, number))
    return entries


def _is_json(path: str) -> bool:
    return path.removesuffix('.gz').endswith('.json')
