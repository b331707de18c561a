"""Photos in class folders, paired with labels by the folder's name."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from mmlt.datasets.image_check import READ, UNREAD, is_photo


@DATASETS.register_module()
class PhotoFolder(BaseDataset):
    """One part of a folder that ``tools/dataset_converters/split_folder.py`` made.

    The label of an image is the place of its folder's name in ``data_root/classes.txt``. So a
    folder that is missing or has another name moves no label, as it does where labels are ranks of
    folders (``CustomDataset``): it is refused.

    Args:
        data_root (str): Folder with ``classes.txt`` (a name a line) and one folder a part.
        split (str): The part: 'train', 'val' or 'test', or any folder of ``data_root``.
        classes (Sequence[str], optional): The names in label order, in place of ``classes.txt``.
        allow_missing (bool): Whether the part may lack classes, such as a test set that really has
            fewer. Its labels stay those of the whole list. Defaults to False.
        pipeline (Sequence): Transforms, from ``LoadImageFromFile`` on.
        **kwargs: Other arguments of mmpretrain's ``BaseDataset``.

    Raises:
        FileNotFoundError: No folder of the part, or no list of classes.
        ValueError: A folder that is no class, a class without images.

    Example:
        >>> PhotoFolder('data/mine', split='test')  # doctest: +SKIP
    """

    def __init__(
        self, data_root, split='train', classes=None, allow_missing=False, pipeline=(), **kwargs
    ):
        self.folder = Path(data_root).expanduser() / split
        self.split = split
        self.allow_missing = allow_missing
        if not self.folder.is_dir():
            raise FileNotFoundError(
                f'PhotoFolder: {self.folder} is no folder; split_folder.py makes it, or give '
                "another data_root, or split='test' if nothing was set aside for validation"
            )
        classes = read_classes(data_root) if classes is None else list(classes)
        super().__init__(
            ann_file='', data_root=str(data_root), pipeline=pipeline, classes=classes, **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """List the images, class after class."""
        labels = {name: label for label, name in enumerate(self.CLASSES)}
        folders = {p.name: p for p in self.folder.iterdir() if p.is_dir() and p.name[0] != '.'}
        if unknown := sorted(set(folders) - set(labels)):
            raise ValueError(
                f'{self.folder} has {len(unknown)} folders that are no class of the '
                f'{len(labels)} known, first {unknown[0]!r}: was one renamed?'
            )
        entries, unread, missing = [], [], []
        for name, label in labels.items():
            files = sorted(visible(folders[name])) if name in folders else []
            photos = [path for path in files if is_photo(path.name)]
            unread += [path for path in files if path.name.lower().endswith(UNREAD)]
            entries += [dict(img_path=str(path), gt_label=label) for path in photos]
            missing += [] if photos else [name]
        if missing and not self.allow_missing or not entries:
            raise ValueError(
                f'{self.folder} has no image ({", ".join(READ)}) of {len(missing)} of '
                f'{len(labels)} classes, first {missing[0]!r}; if this set really has fewer '
                'classes, say so: allow_missing=True'
            )
        if unread:
            print_log(
                f'{self.folder}: {len(unread)} files are of a kind that is not read, first '
                f'{unread[0]}: convert them',
                'current',
                logging.WARNING,
            )
        return entries


def visible(folder: Path) -> Iterator[Path]:
    """The files below a folder, without hidden ones and those of hidden folders."""
    for path in folder.rglob('*'):
        if not any(part.startswith('.') for part in path.relative_to(folder).parts):
            yield path


def read_classes(data_root) -> list[str]:
    """Read ``classes.txt``: a class name a line, in label order.

    Raises:
        FileNotFoundError: There is none.
        ValueError: A name twice, or none.
    """
    path = Path(data_root).expanduser() / 'classes.txt'
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: "python -m mmlt split_folder" writes it')
    names = path.read_text(encoding='utf-8').splitlines()
    names = names[:-1] if names and not names[-1] else names
    twice = {name for name in names if names.count(name) > 1}
    if not names or twice or '' in names:
        raise ValueError(
            f'{path} must hold one name a line, each once, got {json.dumps(names[:5])}'
        )
    return names
