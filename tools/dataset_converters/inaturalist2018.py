"""Turn iNaturalist 2018's official JSON files into ``path label`` lists and class counts.

    python tools/dataset_converters/inaturalist2018.py train2018.json val2018.json

INaturalist2018 also reads the JSON files as they are; the lists load faster. Written to
data/inaturalist2018/iNaturalist18_{train,val}.txt, with a class_counts.json of the training file.
"""

import argparse
from pathlib import Path

from converter_utils import count_labels, describe_counts, existing, run, write_counts, write_text

from mmlt.class_counts import load_class_counts
from mmlt.datasets.inaturalist import read_coco_labels


def main(argv=None) -> None:
    """Read the command line, write the lists."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('json', nargs='+', help='train2018.json, val2018.json (or .json.gz)')
    parser.add_argument('--out', default='data/inaturalist2018', help='where the lists go')
    parser.add_argument('--num-classes', type=int, default=8142)
    parser.add_argument('--images', help='check that the images are below this folder')
    parser.add_argument(
        '--no-check', action='store_true', help="accept other class counts than the benchmark's"
    )
    parser.add_argument('--overwrite', action='store_true', help='replace lists that differ')
    args = parser.parse_args(argv)
    for source in [existing(name) for name in args.json]:
        entries = read_coco_labels(str(source), args.num_classes)
        if args.images:
            _check_images(entries, existing(args.images), source)
        split = 'train' if 'train' in source.name else 'val'
        if split == 'train':
            counts = count_labels(entries, args.num_classes, source)
            print(f'{source}: {describe_counts(counts)}')
            if not args.no_check and counts != load_class_counts('inaturalist2018'):
                raise ValueError(
                    f'{source}: the class counts are not those of iNaturalist 2018 '
                    '(437513 images, 8142 classes; --no-check takes it)'
                )
            write_counts(Path(args.out) / 'class_counts.json', counts, args.overwrite)
        text = ''.join(f'{entry.path} {entry.label}\n' for entry in entries)
        write_text(Path(args.out) / f'iNaturalist18_{split}.txt', text, args.overwrite)


def _check_images(entries, folder: Path, source: Path) -> None:
    for entry in entries:
        if not (folder / entry.path).is_file():
            raise FileNotFoundError(
                f'{source}, annotation {entry.line}: {folder / entry.path} does not exist'
            )


if __name__ == '__main__':
    run(main)
