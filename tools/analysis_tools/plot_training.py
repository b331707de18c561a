"""Draw the training curves of one run, or of several laid over each other.

    python tools/analysis_tools/plot_training.py WORK_DIR [WORK_DIR ...] --out DIR

Reads what mmengine logged to <WORK_DIR>/*/vis_data/scalars.json and writes training_curves.png and
.svg: losses, averaged over each epoch, and the accuracies of each validation. What a resumed run
repeated counts once.
"""

import argparse
from pathlib import Path

from mmlt.commands import run
from mmlt.evaluation import short_names
from mmlt.visualization import draw_training_curves, read_training_log, save_figure


def main(argv=None) -> None:
    """Read the command line and the logs, write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='folder of a run')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the picture')
    parser.add_argument('--title', default='', help='line below the heading, such as the dataset')
    args = parser.parse_args(argv)
    if len({Path(path).resolve() for path in args.work_dirs}) < len(args.work_dirs):
        raise ValueError(f'WORK_DIR must be different folders, got {" ".join(args.work_dirs)}')
    names = short_names(args.work_dirs)
    logs = {name: read_training_log(path) for name, path in zip(names, args.work_dirs)}
    for path in save_figure(
        draw_training_curves(logs, args.title), Path(args.out) / 'training_curves'
    ):
        print(f'{path}: written')


if __name__ == '__main__':
    run(main)
