"""Draw the training images of each class of data sets; needs neither images nor a checkpoint.

    python tools/analysis_tools/plot_class_counts.py cifar100-lt-if100 imagenet-lt --out DIR

Writes a picture for each NAME as PNG and SVG (BCE3S, figure 4). --margins adds DBM's margins for
these counts (DBM, figure 2).
"""

import argparse
import re
from pathlib import Path

from mmlt import load_class_counts
from mmlt.commands import run
from mmlt.config_class_counts import parse_class_counts
from mmlt.evaluation import short_names
from mmlt.visualization import draw_class_counts, draw_dbm_margins, save_figure


def main(argv=None) -> None:
    """Read the command line, write the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('names', nargs='+', metavar='NAME', help='as --class-counts of train.py')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the pictures')
    parser.add_argument('--many', type=int, default=100, help='more images than this (default 100)')
    parser.add_argument('--few', type=int, default=20, help='fewer images than this (default 20)')
    parser.add_argument('--margins', action='store_true', help="also DBM's margins")
    parser.add_argument('--max-margin', type=float, default=0.1, help='K of DBM (default 0.1)')
    parser.add_argument('--tau', type=float, default=1.0, help='tau of DBM (default 1)')
    args = parser.parse_args(argv)
    for name, short in zip(args.names, short_names(args.names)):
        counts = load_class_counts(parse_class_counts(name))
        stem = re.sub(r'[/\\,]', '_', short).replace('=', '-').replace('.json', '')
        limits = dict(many=args.many, few=args.few)
        figures = {f'class_counts_{stem}': draw_class_counts(counts, name, **limits)}
        if args.margins:
            title = f'{name}, K = {args.max_margin:g}, tau = {args.tau:g}'
            figures[f'dbm_margins_{stem}'] = draw_dbm_margins(
                counts, title, max_margin=args.max_margin, tau=args.tau
            )
        for picture, fig in figures.items():
            for path in save_figure(fig, Path(args.out) / picture):
                print(f'{path}: written')


if __name__ == '__main__':
    run(main)
