"""Make two small, long-tailed sets of photos, on which the recipe's schedule is chosen.

    python tools/benchmarks/small_sets.py photos IMAGENET_SAMPLE --out photos
    python tools/benchmarks/small_sets.py patches WALLPAPERS --out patches

``photos``: 210 ImageNet photos of 35 classes, put together to 6 things such as food or balls (54
to 18 a class). IMAGENET_SAMPLE has a folder a WordNet id. ``patches``: square patches of the photos
in a folder (and below it), each pixel in one alone; which photo is a patch from? 70 to 24 a class.
The photos may be those of Debian's mate-backgrounds and lomiri-wallpapers-16.04.

The result is a folder a class, for tools/dataset_converters/split_folder.py.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

THINGS = {
    'food': 'n07718747 n07720875 n07747607 n07753113 n07753275 n07583066 n07697537 n07873807 '
    'n07880968',
    'animal': 'n01443537 n01776313 n01784675 n01882714 n02129165 n02391049 n02454379',
    'instrument': 'n02787622 n03017168 n03394916 n03494278 n03838899 n04141076 n04487394',
    'kitchenware': 'n02815834 n03400231 n03633091 n04270147 n04332243',
    'clothes': 'n02892767 n03710721 n04026417 n04371430',
    'ball': 'n02799071 n04254680 n04409515',
}
SMALL, EDGE, PATCH = 96, 768, 64  # pixels: shorter edge of a photo of either set, of a patch
MOST, LEAST = 70, 24


def things(source: Path, out: Path) -> None:
    """Put the photos, made small, into one folder a thing."""
    for name, ids in THINGS.items():
        (out / name).mkdir(parents=True)
        for wnid in ids.split():
            for path in sorted((source / wnid).iterdir()):
                _shrink(path, SMALL).save(out / name / f'{path.stem}.png')


def patches(source: Path, out: Path) -> None:
    """Cut the photos up; the first in the alphabet gives most patches."""
    photos = sorted((path for path in source.rglob('*.jpg')), key=lambda path: path.name)
    numbers = np.geomspace(MOST, LEAST, len(photos)).round().astype(int)
    for path, number in zip(photos, numbers):
        image = _shrink(path, EDGE)
        places = [(x, y) for y in range(0, image.height - PATCH + 1, PATCH)
                  for x in range(0, image.width - PATCH + 1, PATCH)]  # fmt: skip
        (out / path.stem).mkdir(parents=True)
        drawn = np.random.default_rng(0).permutation(len(places))[:number]
        for k in sorted(drawn):
            x, y = places[k]
            patch = image.crop((x, y, x + PATCH, y + PATCH))
            patch.save(out / path.stem / f'{x:04}_{y:04}.png')


def _shrink(path: Path, edge: int) -> Image.Image:
    with Image.open(path) as image:
        image = image.convert('RGB')
    image.info.pop('icc_profile', None)  # libpng would complain of some
    scale = edge / min(image.size)
    return image.resize([round(side * scale) for side in image.size], Image.LANCZOS)


def main() -> None:
    """Make one of the sets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('kind', choices=['photos', 'patches'])
    parser.add_argument('source', type=Path)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    if not args.source.is_dir():
        parser.error(f'{args.source} is no folder')
    if args.out.exists():
        parser.error(f'--out {args.out} exists')
    (things if args.kind == 'photos' else patches)(args.source, args.out)
    found = {path.name: len(list(path.iterdir())) for path in sorted(args.out.iterdir())}
    print(f'{args.out}: {sum(found.values())} images of {len(found)} classes')


if __name__ == '__main__':
    sys.exit(main())
