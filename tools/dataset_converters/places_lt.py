r"""Unpack and check the Places-LT lists.

    python tools/dataset_converters/places_lt.py Places_LT_{train,test}.txt.gz \
        --images data/places365

Each list goes to data/Places_LT/Places_LT_*.txt unchanged: PlacesLT reads both forms of the paths
and both layouts of the images. Safe to run twice.
"""

import argparse
import hashlib
from pathlib import Path

from converter_utils import count_labels, describe_counts, existing, run, write_text

from mmlt.class_counts import load_class_counts
from mmlt.datasets.path_label_list import read_path_label_list, read_text
from mmlt.datasets.places_lt import PlacesLT

# Of the unpacked text; another version in circulation has other paths, same images and labels.
SHA256 = {
    '726c4871dcbf07ce2f857703bfe32e9a83ffbf52d704239f6d95c4f4f4c247f7': 'Places_LT_train.txt',
    '44eee8441c8098c59195465abede425721bc35525d75209f9433b161a6eb37bc': 'Places_LT_test.txt',
}
NUM_CLASSES = 365


def main(argv=None) -> None:
    """Read the command line, write the lists."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('lists', nargs='+', help='Places_LT_{train,val,test}.txt or .txt.gz')
    parser.add_argument('--out', default='data/Places_LT', help='where the lists go')
    parser.add_argument('--images', help='check that the images are below this folder')
    parser.add_argument(
        '--all', action='store_true', help='with --images: look for every image, not for a sample'
    )
    parser.add_argument(
        '--no-check', action='store_true', help="accept other class counts than the benchmark's"
    )
    parser.add_argument('--overwrite', action='store_true', help='replace lists that differ')
    args = parser.parse_args(argv)
    for source in [existing(name) for name in args.lists]:
        text = read_text(str(source))
        counts = count_labels(read_path_label_list(str(source), NUM_CLASSES), NUM_CLASSES, source)
        print(f'{source}: {describe_counts(counts)}')
        published = SHA256.get(hashlib.sha256(text.encode()).hexdigest())
        print(f'{source}: ' + (f'is the published {published}' if published else 'other version'))
        if not args.no_check:
            _check_counts(source, counts)
        if args.images:
            check_files = 'all' if args.all else 'sample'
            PlacesLT(str(source), data_root=str(existing(args.images)), check_files=check_files)
            print(f'{args.images}: images found')
        write_text(Path(args.out) / source.name.removesuffix('.gz'), text, args.overwrite)


def _check_counts(source: Path, counts: list[int]) -> None:
    if 'train' in source.name:
        if counts != load_class_counts('places-lt'):
            raise ValueError(
                f'{source}: the class counts are not those of Places-LT (62500 images; '
                '--no-check takes it)'
            )
    elif len(set(counts)) != 1:
        raise ValueError(
            f'{source}: a validation or test list of Places-LT has equally many images of each '
            f'class, got {min(counts)} to {max(counts)} (--no-check takes it)'
        )


if __name__ == '__main__':
    run(main)
