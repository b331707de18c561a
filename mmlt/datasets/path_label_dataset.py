from collections.abc import Callable, Iterator

from mmengine import fileio
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from mmlt.datasets.image_errors import name_broken_image
from mmlt.datasets.path_label_list import Entry, read_path_label_list

CHECKS = ('sample', 'all', 'none')
# Enough to tell a layout from a stray missing file; every stat may be a trip to a file server.
_PROBES = 16
_SAMPLES = 256

Layout = Callable[[Entry], str | None]


@DATASETS.register_module()
class PathLabelDataset(BaseDataset):
    """Images named by a list of ``path label`` lines, checked before training starts.

    Lists and disks differ in the folders in front of the file name. The layout is found once, by
    probing a few entries: as listed, without leading folders, or (subclasses) as the benchmark's
    other releases have it.

    Args:
        ann_file (str): the list, plain or gzip; relative to ``data_root``, else to the current
            folder. A missing ``x.txt`` is also looked for as ``x.txt.gz``.
        data_root (str): folder of the images.
        data_prefix (str | dict): folder of the images below ``data_root``. Defaults to ''.
        num_classes (int | None): labels must lie in 0..num_classes - 1. None: the number of
            names in ``metainfo['classes']``, if there are any.
        check_files (str): 'sample' looks for 256 images spread over the list, 'all' for every
            image, 'none' for none (labels only, no images needed). Defaults to 'sample'.
        **kwargs: other arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        FileNotFoundError: no image folder, list or image; it says what was looked for.
        ValueError: a list that is empty or has a line without a valid label (file and line),
            a broken image (when it is loaded).

    Example:
        >>> PathLabelDataset('train.txt', data_root='data/birds', num_classes=200)
        ... # doctest: +SKIP
    """

    NUM_CLASSES: int | None = None
    HOW_TO_GET = 'tools/dataset_converters/README.md shows the expected folders'

    def __init__(
        self,
        ann_file: str,
        data_root: str = '',
        data_prefix: str | dict = '',
        num_classes: int | None = None,
        check_files: str = 'sample',
        **kwargs,
    ):
        if check_files not in CHECKS:
            raise ValueError(
                f'{type(self).__name__}: check_files must be one of {CHECKS}, got {check_files!r}'
            )
        self.check_files = check_files
        self.num_classes = self.NUM_CLASSES if num_classes is None else num_classes
        self._given_ann_file = ann_file
        lazy_init = kwargs.pop('lazy_init', False)
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            lazy_init=True,
            **kwargs,
        )
        given = 'classes' in kwargs or 'classes' in (kwargs.get('metainfo') or {})
        self._check_class_names(given)
        if not lazy_init:
            self.full_init()

    def load_entries(self) -> list[Entry]:
        """Read and check the annotation file."""
        return read_path_label_list(self.ann_file, self.num_classes)

    def layouts(self) -> Iterator[Layout]:
        """Ways from a listed path to the path below the image folder, the likeliest first."""
        yield lambda entry: entry.path
        for drop in (1, 2):
            yield lambda entry, drop=drop: _without_folders(entry.path, drop)

    def by_file_name(self, folder: str) -> Iterator[Layout]:
        """Layout that looks file names up: a flat list of files that lie in class folders."""
        root = fileio.join_path(self.img_prefix, folder)
        if not fileio.isdir(root):
            return
        # One walk of the folder instead of a search an image.
        found = fileio.list_dir_or_file(root, list_dir=False, recursive=True)
        index = {path.rsplit('/', 1)[-1]: f'{folder}/{path}' for path in found}
        yield lambda entry: index.get(entry.path.rsplit('/', 1)[-1])

    def load_data_list(self) -> list[dict]:
        """Read the list, find the images, return one dict an image."""
        self.ann_file = self._find_ann_file()
        entries = self.load_entries()
        layout = self._resolve_layout(entries)
        data_list = []
        for entry in entries:
            if (path := layout(entry)) is None:
                raise FileNotFoundError(
                    f'{self.where(entry)}: no image {entry.path} below {self.img_prefix}, where '
                    'others of the list are'
                )
            path = fileio.join_path(self.img_prefix, path)
            data_list.append({'img_path': path, 'gt_label': entry.label})
        self._check_images(entries, data_list)
        return data_list

    def prepare_data(self, idx: int):
        """Run the pipeline; a broken image is named."""
        with name_broken_image(lambda: self.get_data_info(idx)):
            return super().prepare_data(idx)

    def where(self, entry: Entry) -> str:
        """Name the place in the annotation file that an entry comes from."""
        return f'{self.ann_file}:{entry.line}'

    def _check_class_names(self, given: bool) -> None:
        names = self._metainfo.get('classes')
        if names is None:
            return
        if self.num_classes is None:
            self.num_classes = len(names)
        elif len(names) != self.num_classes:
            if given:
                raise ValueError(
                    f'{type(self).__name__}: got {len(names)} class names and '
                    f'num_classes = {self.num_classes}'
                )
            # A part of a benchmark has other labels than the names that belong to all of it.
            del self._metainfo['classes']

    def _find_ann_file(self) -> str:
        tried = []
        for path in (self.ann_file, self._given_ann_file):
            for candidate in (path, f'{path}.gz'):
                if candidate not in tried and fileio.isfile(candidate):
                    return candidate
                tried.append(candidate)
        looked = ', '.join(dict.fromkeys(tried))
        raise FileNotFoundError(
            f'{type(self).__name__}: no annotation file: looked for {looked}; {self.HOW_TO_GET}'
        )

    def _resolve_layout(self, entries: list[Entry]) -> Layout:
        if self.check_files == 'none':
            return next(self.layouts())
        folder = self.img_prefix.rstrip('/') or '.'
        if not fileio.isdir(self.img_prefix or '.'):
            raise FileNotFoundError(
                f'{type(self).__name__}: the image folder {folder} does not exist '
                f'(data_root = {self.data_root!r}); {self.HOW_TO_GET}'
            )
        probes = _spread(entries, _PROBES)
        tried = []
        for layout in self.layouts():
            paths = [layout(entry) for entry in probes]
            # One stray hit may be chance, and one stray miss a lost file: the majority decides.
            if sum(map(self._exists, paths)) * 2 > len(paths):
                return layout
            tried += [paths[0]] if paths[0] and paths[0] not in tried else []
        raise FileNotFoundError(
            f'{type(self).__name__}: the images of the list are not below '
            f'{folder}: for {self.where(probes[0])} looked for '
            f'{", ".join(tried)}; {self.HOW_TO_GET}'
        )

    def _exists(self, path: str | None) -> bool:
        return path is not None and fileio.exists(fileio.join_path(self.img_prefix, path))

    def _check_images(self, entries: list[Entry], data_list: list[dict]) -> None:
        if self.check_files == 'none':
            return
        numbers = range(len(entries))
        for i in numbers if self.check_files == 'all' else _spread(numbers, _SAMPLES):
            if not fileio.exists(data_list[i]['img_path']):
                raise FileNotFoundError(
                    f'{self.where(entries[i])}: image {data_list[i]["img_path"]} '
                    f'does not exist (listed as {entries[i].path!r})'
                )


def _spread(items, count: int) -> list:
    """At most ``count`` items, evenly spread, the first among them."""
    step = max(1, -(-len(items) // count))
    return list(items[::step])


def _without_folders(path: str, drop: int) -> str | None:
    parts = path.split('/')
    return '/'.join(parts[drop:]) if len(parts) > drop else None
