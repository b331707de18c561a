"""Write a config for your own photos: ``python tools/new_config.py data/mine --out mine.py``.

The folder is one that tools/dataset_converters/split_folder.py made.
"""

import argparse
import os
import shlex
from pathlib import Path

import mmlt  # noqa: F401  (registers everything)
from mmlt.commands import Options, run
from mmlt.engine.new_config import METHODS, config_text
from mmlt.files import write_whole

RUNTIME = Path(__file__).parents[1] / 'configs/_base_/default_runtime.py'


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('data', type=Path, help='folder with train, test, perhaps val, counts.json, classes.txt')
    add('--out', type=Path, required=True, help='the config to write, .py')
    methods = '; '.join(f'{name}: {text}' for name, text in METHODS.items())
    add('--method', choices=METHODS, default='dbm-bs', help=methods)
    add(
        '--backbone',
        default='resnet18',
        help="a model of mmpretrain's zoo, the beginning of its name (swin-tiny), or the class of "
        'a backbone (CifarResNet)',
    )
    add('--backbone-options', nargs='+', action=Options, help='its arguments, such as depth=20')
    add('--pretrained', action='store_true', help="begin from the zoo's weights (a download)")
    add('--size', type=int, default=64, help='edge of the images in pixels, 32 to 512')
    add('--epochs', type=int, default=20, help='length of the training')
    add('--batch-size', type=int, help='images a step; 32, or less if there are few')
    add('--rate', type=float, help='peak learning rate; by method, optimizer and batch size')
    add('--warmup', type=int, metavar='EPOCHS', help='in which the rate rises to its peak')
    add('--overwrite', action='store_true', help='replace the file')
    return parser.parse_args()


def main() -> None:
    """Write the config, and say what it is."""
    args = parse_args()
    if args.out.suffix != '.py':
        raise ValueError(f'--out must end in .py, got {args.out}')
    if '.' in args.out.stem or ' ' in args.out.stem:
        raise ValueError(f'--out must have no dot or blank in its name, got {args.out.name}')
    if args.out.exists() and not args.overwrite:
        raise FileExistsError(f'{args.out} exists: choose another --out, or give --overwrite')
    text, backbone = config_text(
        args.data,
        args.out,
        args.method,
        args.backbone,
        args.size,
        args.epochs,
        args.batch_size,
        args.rate,
        args.pretrained,
        args.backbone_options,
        RUNTIME.read_text(encoding='utf-8'),
        workers=min(4, os.cpu_count() or 1),
        warmup=args.warmup,
    )
    write_whole(args.out, text)
    pooled = 'averaged over the image' if backbone.pooled else 'as the backbone gives them'
    print(f'{args.out}: {args.method} on {backbone.source}, {backbone.parameters / 1e6:.1f} M '
          f'parameters, {backbone.width} features, {pooled}')  # fmt: skip
    print(f'next: python -m mmlt check {shlex.quote(str(args.out))}')


if __name__ == '__main__':
    run(main)
