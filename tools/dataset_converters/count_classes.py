"""Write the class counts of your own data as the JSON that ``class_counts=`` takes.

    python tools/dataset_converters/count_classes.py data/birds/train --out data/birds/counts.json

SRC is a folder with one folder a class, a list of ``path label`` lines (.txt, .txt.gz), or an
iNaturalist-style JSON file. The label of a folder is the rank of its name, as CustomDataset has
it; or, with a ``classes.txt`` beside SRC, its place in there, and PhotoFolder's images count.
"""

import argparse
from pathlib import Path

from converter_utils import (
    IMAGE_SUFFIXES,
    Percent,
    count_labels,
    describe_counts,
    existing,
    is_image,
    run,
    write_counts,
)

from mmlt.datasets.image_check import READ, is_photo
from mmlt.datasets.inaturalist import read_coco_labels
from mmlt.datasets.path_label_list import read_path_label_list
from mmlt.datasets.photo_folder import read_classes, visible
from mmlt.datasets.photo_split import refuse_parts


def main(argv=None) -> None:
    """Read the command line, count, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', help='folder of class folders, list, or JSON file')
    parser.add_argument('--out', required=True, help='the JSON file to write')
    parser.add_argument('--num-classes', type=int, help='stop if there are not as many classes')
    parser.add_argument('--overwrite', action='store_true', help='replace a file that differs')
    args = parser.parse_args(argv)
    src = existing(args.src)
    if not args.out.endswith('.json') or Path(args.out).resolve() == src.resolve():
        parser.error(f'--out must be another file, which ends with .json, got {args.out}')
    if args.num_classes is not None and args.num_classes < 1:
        raise ValueError(f'--num-classes must be at least 1, got {args.num_classes}')
    counts = count_folder(src) if src.is_dir() else count_list(src, args.num_classes)
    if args.num_classes not in (None, len(counts)):
        raise ValueError(f'{src} has {len(counts)} classes, --num-classes is {args.num_classes}')
    print(f'{src}: {describe_counts(counts)}; imbalance {max(counts) / min(counts):.1f}')
    write_counts(Path(args.out), counts, overwrite=args.overwrite)


def count_folder(src: Path) -> list[int]:
    """Images of every class folder, in the order of the names."""
    folders = sorted(p for p in src.iterdir() if p.is_dir() and not p.name.startswith('.'))
    counted, suffixes = is_image, IMAGE_SUFFIXES
    if (src.parent / 'classes.txt').is_file():
        folders = [src / name for name in read_classes(src.parent)]
        counted, suffixes = is_photo, READ
        print(f'labels: places in {src.parent / "classes.txt"}')
    if not folders:
        raise ValueError(f'{src} holds no folders, expected one a class')
    if counted is is_image:  # a classes.txt says that they are classes, whatever their names
        refuse_parts(folders)
    counts, bar = [], Percent(len(folders))
    for folder in folders:
        found = visible(folder) if counted is is_photo else folder.rglob('*')
        counts.append(sum(counted(p.name) for p in found if p.is_file()))
        if not counts[-1]:
            raise ValueError(
                f'{folder} holds no image ({", ".join(suffixes)}), every class needs one'
            )
        bar.update(len(counts))
    bar.close()
    print(
        f'the {sum(counts)} images were counted by their names, not read: '
        'split_folder.py --check-images finds those that cannot be'
    )
    return counts


def count_list(src: Path, num_classes: int | None) -> list[int]:
    """Images of every label of a list or JSON file."""
    is_json = src.name.removesuffix('.gz').endswith('.json')
    entries = (read_coco_labels if is_json else read_path_label_list)(str(src), num_classes)
    return count_labels(entries, num_classes or max(e.label for e in entries) + 1, src)


if __name__ == '__main__':
    run(main)
