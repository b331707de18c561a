"""Lay CIFAR-10 or CIFAR-100 images out as folders that CustomDataset reads.

    python tools/dataset_converters/cifar_images.py cifar10-jpeg.tar.xz

SRC is a tar archive or folder with train/<class>/* and test/<class>/*. The result is
data/cifar10/{train,test}/<class>/* (or cifar100). Safe to run twice and after a killed run.
The official pickles need no conversion: mmpretrain reads data/cifar10/cifar-10-batches-py.
"""

import argparse
import tarfile
from pathlib import Path, PurePosixPath

from converter_utils import check_sha256, existing, place_images, run

SHA256 = {
    'cifar10-jpeg.tar.xz': 'a449fb6cc44428e868a490c2443a9d9dbaa2d053b0717c2e736a1e34ec13c2b6',
    'cifar100-jpeg.tar.xz': '74feb041332f403ddc79ec9d0f18ce458ba16152ec9a0238e8be2b120288a660',
}
# Number of classes -> images a class of (train, test).
SIZES = {10: (5000, 1000), 100: (500, 100)}


def main(argv=None) -> None:
    """Read the command line, place the images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', help='archive or folder with train/<class>/ and test/<class>/')
    parser.add_argument('--out', help='default: data/cifar10 or data/cifar100, by the name of SRC')
    parser.add_argument(
        '--no-check', action='store_true', help='accept another checksum or number of images'
    )
    args = parser.parse_args(argv)
    src = existing(args.src)
    out = Path(args.out) if args.out else _default_out(src)
    _refuse_pickles(src)
    if src.is_file():
        if not tarfile.is_tarfile(src):
            raise ValueError(f'{src} is neither a folder nor a tar archive')
        if not args.no_check:
            check_sha256(src, SHA256)
    place_images(src, out, split_class_file, lambda placed: check(placed, src, args.no_check))


def split_class_file(name: PurePosixPath) -> str | None:
    """'any/train/cat/1.jpg' -> 'train/cat/1.jpg'; None for other files."""
    parts = name.parts[-3:]
    return '/'.join(parts) if len(parts) == 3 and parts[0] in ('train', 'test') else None


def check(placed: dict[str, list], src: Path, no_check: bool) -> None:
    """Compare classes and numbers of images with CIFAR's."""
    if set(placed) != {'train', 'test'}:
        raise ValueError(
            f'{src} must hold images train/<class>/* and test/<class>/*, '
            f'found {sorted(placed) or "neither"}'
        )
    counts = {split: _count(names) for split, names in placed.items()}
    odd = sorted(counts['train'].keys() ^ counts['test'].keys())
    if odd:
        raise ValueError(f'{src}: classes in only one of train and test: {odd[:5]}')
    if no_check:
        return
    if len(counts['train']) not in SIZES:
        raise ValueError(
            f'{src} has {len(counts["train"])} classes, CIFAR has 10 or 100 (--no-check takes it)'
        )
    for split, wanted in zip(('train', 'test'), SIZES[len(counts['train'])]):
        for name, count in counts[split].items():
            if count != wanted:
                raise ValueError(
                    f'{src}: {split}/{name} has {count} images, expected {wanted} '
                    '(--no-check takes it)'
                )


def _count(names: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        folder = name.split('/')[0]
        counts[folder] = counts.get(folder, 0) + 1
    return counts


def _default_out(src: Path) -> Path:
    for name in ('cifar100', 'cifar10'):
        if name in src.name.lower().replace('-', ''):
            return Path('data') / name
    raise ValueError(f'{src.name} does not tell CIFAR-10 from CIFAR-100: give --out')


def _refuse_pickles(src: Path) -> None:
    names = ('cifar-10-batches-py', 'cifar-100-python')
    if src.name in names or any((src / name).is_dir() for name in names):
        raise ValueError(
            f'{src} holds the official pickles: put the folder into data/cifar10 or data/cifar100, '
            'the configs read it as it is'
        )


if __name__ == '__main__':
    run(main)
