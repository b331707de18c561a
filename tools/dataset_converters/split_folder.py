"""Split a folder of photos, one folder a class, into training, validation and test images.

    python tools/dataset_converters/split_folder.py PHOTOS --out data/mine --test-per-class 12 \\
        --val-fraction 0.1 --check-images

Writes OUT/{train,val,test}/<class>/..., OUT/classes.txt (names in label order), OUT/counts.json
(training images of every class) and OUT/skipped.csv (what was left out, and why). The originals
are only read. The same photos give the same split.
"""

import argparse
import csv
import io
import json
import shlex
from pathlib import Path

from converter_utils import Percent, describe_counts, existing, run

from mmlt.datasets.image_check import MAX_PIXELS
from mmlt.datasets.photo_split import PARTS, check_out, place_split, plan_split
from mmlt.files import csv_text, printable


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('photos', metavar='PHOTOS', help='folder with one folder a class')
    add('--out', required=True, type=Path, help='folder to make')
    add('--test-per-class', type=int, required=True, metavar='N',
        help='test images of every class; of a small class at most half')  # fmt: skip
    add('--val-fraction', type=float, default=0.0, metavar='F',
        help='part of the other images to choose settings on, in [0, 1); 0: none')  # fmt: skip
    add('--check-images', action='store_true',
        help='read every image once; leave out damaged, huge and double ones')  # fmt: skip
    add('--min-images', type=int, metavar='N', help='leave out classes with fewer images')
    add('--place', choices=['copy', 'hardlink', 'symlink'], default='copy',
        help='how images get to OUT; links take no room')  # fmt: skip
    add('--seed', type=int, default=0, help='another seed is another split')
    add('--max-pixels', type=int, default=MAX_PIXELS, metavar='N',
        help='images with more pixels are left out as bombs')  # fmt: skip
    return parser.parse_args(argv)


class Bar:
    """A progress bar that begins with its first step, and ends with its last."""

    def __init__(self, what: str):
        self.what, self.bar = what, None

    def __call__(self, done: int, total: int) -> None:
        if self.bar is None:
            print(f'{self.what} {total} images')
            self.bar = Percent(total)
        self.bar.update(done)
        if done == total:
            self.bar.close()


def main(argv=None) -> None:
    """Plan, place, write the lists, and say what was done."""
    args = parse_args(argv)
    source = existing(args.photos)
    check_out(source, args.out)
    split = plan_split(
        source,
        args.test_per_class,
        args.val_fraction,
        args.check_images,
        args.min_images,
        args.seed,
        args.max_pixels,
        Bar('reading'),
    )
    lists = {
        'classes.txt': '\n'.join(split.classes) + '\n',
        'counts.json': json.dumps(split.counts('train')) + '\n',
        'skipped.csv': skipped_table(split.skipped),
    }
    place_split(split, args.out, args.place, lists, Bar(f'{args.place}:'))
    report(args, split)


def skipped_table(skipped: list[tuple[str, str]]) -> str:
    """CSV with a line for each file that was left out."""
    file = io.StringIO(newline='')
    write = csv.writer(file).writerow
    write(['path', 'reason'])
    for name, reason in skipped:
        write([csv_text(name), csv_text(reason)])
    return file.getvalue()


def report(args, split) -> None:
    """Say what was done, and what was left out."""
    for part in PARTS:
        counts = split.counts(part)
        if part == 'train':
            print(f'train: {describe_counts(counts)}')
        elif any(counts):
            print(f'{part}: {sum(counts)} images, {min(counts)} to {max(counts)} a class')
    for note in split.notes:
        print(f'note: {note}')
    for name, reason in split.skipped[:10]:
        print(f'skipped {printable(name)}: {printable(reason)}')
    if split.skipped:
        print(f'{len(split.skipped)} files were left out, all in {args.out / "skipped.csv"}')
    if not args.check_images:
        print('the images were not read: --check-images finds those that cannot be')
    out = shlex.quote(str(args.out))
    print(f'next: python -m mmlt new_config {out} --method dbm-bs --out mine.py')


if __name__ == '__main__':
    run(main)
