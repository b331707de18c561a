r"""Make or check the ImageNet-LT lists for the images that are on the disk.

Official lists, restricted to the images found below SRC (all of them, with a whole ILSVRC-2012):

    python tools/dataset_converters/imagenet_lt.py data/imagenet --lists ImageNet_LT_train.txt \
        ImageNet_LT_val.txt ImageNet_LT_test.txt

Without lists, from folders of wnids (a sample, say): the last images of each class become the
validation and test lists, the others the training list, and their counts are written:

    python tools/dataset_converters/imagenet_lt.py imagenet-sample.tar

SRC is a folder with <wnid>/* at any depth, or a tar of it, unpacked to <out>/train/<wnid>/.
Safe to run twice and after a killed run.
"""

import argparse
import re
import tarfile
from pathlib import Path, PurePosixPath

from converter_utils import (
    check_sha256,
    count_labels,
    describe_counts,
    existing,
    is_image,
    place_images,
    run,
    write_counts,
    write_text,
)

from mmlt.class_counts import load_class_counts
from mmlt.datasets.path_label_list import Entry, read_path_label_list

SHA256 = {
    'imagenet-sample.tar': 'dd019f783c8380be6c4d33b9afe5f97ef05dc633961dca1615406c4f9d0793b0',
}
NUM_CLASSES = 1000
_WNID = re.compile(r'n\d{8}')


def main(argv=None) -> None:
    """Read the command line, write the lists."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', help='folder with the images, or a tar archive of wnid folders')
    parser.add_argument('--lists', nargs='+', default=[], help='official lists, .txt or .txt.gz')
    parser.add_argument('--list-dir', default='data/ImageNet_LT', help='where the lists go')
    parser.add_argument('--out', default='data/imagenet', help='where an archive is unpacked')
    parser.add_argument('--val-per-class', type=int, default=1, help='without --lists')
    parser.add_argument('--test-per-class', type=int, default=1, help='without --lists')
    parser.add_argument(
        '--labels-from',
        help='without --lists: take the label of each wnid from this official list; '
        'otherwise the wnids found are numbered 0, 1, 2 ...',
    )
    parser.add_argument('--strict', action='store_true', help='a listed image is missing: stop')
    parser.add_argument('--no-check', action='store_true', help='accept another checksum')
    parser.add_argument('--overwrite', action='store_true', help='replace lists that differ')
    args = parser.parse_args(argv)
    # The lists first: their mistakes show before an archive is unpacked.
    lists = {Path(name): read_path_label_list(name, NUM_CLASSES) for name in map(_file, args.lists)}
    labels = _labels_from(args.labels_from) if args.labels_from else None
    root = existing(args.src)
    if root.is_file():
        root = _unpack(root, Path(args.out), args.no_check)
    images = sorted(
        path.relative_to(root).as_posix() for path in root.rglob('*') if is_image(path.name)
    )
    if not images:
        raise ValueError(f'{root} holds no images')
    print(f'{root}: {len(images)} images')
    if lists:
        for name, entries in lists.items():
            restrict(name, entries, images, root, args)
    else:
        held_out = (args.val_per_class, args.test_per_class)
        make_lists(images, root, Path(args.list_dir), held_out, labels, args.overwrite)


def restrict(name, entries, images, root, args) -> None:
    """Write the part of an official list whose images are on the disk, with their real paths."""
    # ImageNet's file names are unique, so the folders in front do not matter.
    found = {image.rsplit('/', 1)[-1]: image for image in images}
    files = [found.get(entry.path.rsplit('/', 1)[-1]) for entry in entries]
    kept = [Entry(file, e.label, e.line) for file, e in zip(files, entries) if file]
    missing = [entry for file, entry in zip(files, entries) if not file]
    if missing and (args.strict or not kept):
        raise FileNotFoundError(
            f'{name}:{missing[0].line}: {missing[0].path} is not below {root} '
            f'({len(missing)} of {len(entries)} images are missing)'
        )
    counts = [0] * NUM_CLASSES
    for entry in kept:
        counts[entry.label] += 1
    print(
        f'{name}: {len(kept)} of {len(entries)} images found, '
        f'{sum(n > 0 for n in counts)} of {NUM_CLASSES} classes'
    )
    if counts == load_class_counts('imagenet-lt'):
        print(f'{name}: the class counts are those of ImageNet-LT')
    stem = name.name.removesuffix('.gz').removesuffix('.txt')
    write_text(Path(args.list_dir) / f'{stem}.txt', _lines(kept), args.overwrite)


def make_lists(images, root, list_dir, held_out, labels, overwrite) -> None:
    """Write train, val and test lists and the class counts from folders of wnids."""
    classes: dict[str, list[str]] = {}
    for image in images:
        folder = PurePosixPath(image).parent.name
        if _WNID.fullmatch(folder):
            classes.setdefault(folder, []).append(image)
    if not classes:
        raise ValueError(f'{root}: no folder is named like a wnid (n01440764)')
    lists: dict[str, list[Entry]] = {'train': [], 'val': [], 'test': []}
    for rank, (wnid, members) in enumerate(sorted(classes.items())):
        if labels is not None and wnid not in labels:
            raise ValueError(f'{root}: wnid {wnid} is not in the list of --labels-from')
        label = rank if labels is None else labels[wnid]
        train = len(members) - sum(held_out)
        if train < 1 or min(held_out) < 0:
            raise ValueError(
                f'{root}: class {wnid} has {len(members)} images, too few for '
                f'{held_out[0]} validation and {held_out[1]} test images and one to train on'
            )
        ends = (train, train + held_out[0], len(members))
        for split, start, end in zip(lists, (0, *ends), ends):
            lists[split] += [Entry(path, label, 0) for path in members[start:end]]
    for split, entries in lists.items():
        if entries:
            write_text(list_dir / f'ImageNet_LT_{split}.txt', _lines(entries), overwrite)
    if labels is None:
        counts = count_labels(lists['train'], len(classes), root)
        print(f'train: {describe_counts(counts)}')
        write_counts(list_dir / 'class_counts.json', counts, overwrite)


def _unpack(archive: Path, out: Path, no_check: bool) -> Path:
    if not tarfile.is_tarfile(archive):
        raise ValueError(f'{archive} is neither a folder nor a tar archive')
    if not no_check:
        check_sha256(archive, SHA256)

    def rename(name: PurePosixPath) -> str | None:
        return f'train/{name.parent.name}/{name.name}' if _WNID.match(name.parent.name) else None

    def check(placed: dict) -> None:
        if not placed:
            raise ValueError(f'{archive} holds no images <wnid>/*')

    place_images(archive, out, rename, check)
    return out


def _labels_from(path: str) -> dict[str, int]:
    entries = read_path_label_list(_file(path), NUM_CLASSES)
    return {PurePosixPath(entry.path).parent.name: entry.label for entry in entries}


def _file(path: str) -> str:
    return str(existing(path))


def _lines(entries: list[Entry]) -> str:
    return ''.join(f'{entry.path} {entry.label}\n' for entry in entries)


if __name__ == '__main__':
    run(main)
