"""BCE3S's table 2: softmax (CE), sigmoid (BCE) or nothing in each slot, 14 rows from one config.

    python tools/ablation_grid.py configs/bce3s/resnet34_cifar100-lt-if100.py --list
    python tools/ablation_grid.py CONFIG --rows ce bce3s --resume

Every row is a run of tools/train.py with the options that --list prints; flags that are not listed
here go to it as they are. The table at the end is of the last epoch of each row.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

from mmlt.evaluation import format_shot_table

# Row: joint, contrast, uniform; all-classes accuracy in the paper (ResNet-34, CIFAR-100-LT,
# imbalance 100). 'ss' is sample - sample, 'cc' class - class, as the paper has it.
ROWS = {
    'ce': ('softmax', None, None, 51.48),
    'bce': ('sigmoid', None, None, 52.88),
    'ce+ce_ss': ('softmax', 'softmax', None, 53.87),
    'ce+bce_ss': ('softmax', 'sigmoid', None, 54.15),
    'bce+ce_ss': ('sigmoid', 'softmax', None, 54.68),
    'bce+bce_ss': ('sigmoid', 'sigmoid', None, 54.95),
    'ce+ce_cc': ('softmax', None, 'softmax', 52.11),
    'ce+bce_cc': ('softmax', None, 'sigmoid', 52.67),
    'bce+ce_cc': ('sigmoid', None, 'softmax', 53.36),
    'bce+bce_cc': ('sigmoid', None, 'sigmoid', 53.90),
    'ce3s': ('softmax', 'softmax', 'softmax', 54.14),
    'ce+bce_ss+bce_cc': ('softmax', 'sigmoid', 'sigmoid', 53.99),
    'bce+ce_ss+ce_cc': ('sigmoid', 'softmax', 'softmax', 55.40),
    'bce3s': ('sigmoid', 'sigmoid', 'sigmoid', 55.99),
}


def parse_args() -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what is unknown here is for tools/train.py."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config with a BCE3SHead')
    parser.add_argument('--rows', nargs='+', choices=ROWS, default=list(ROWS), metavar='ROW')
    parser.add_argument('--list', action='store_true', help='print the commands, run nothing')
    parser.add_argument(
        '--work-dir', default='work_dirs/ablation_grid', help='a folder for each row'
    )
    parser.add_argument('--contrast-weight', type=float, default=0.1)
    parser.add_argument('--uniform-weight', type=float, default=1.0)
    parser.add_argument('--gpus', type=int, default=1, help='processes of each run')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='further options of each row')
    return parser.parse_known_args()


def options_of(row: str, contrast_weight: float, uniform_weight: float) -> list[str]:
    """The ``--cfg-options`` that make the row of a BCE3SHead."""
    joint, contrast, uniform, _ = ROWS[row]
    options = [f'model.head.joint={joint}']
    for slot, kind, name, weight in (
        ('contrast', contrast, 'PairLoss', contrast_weight),
        ('uniform', uniform, 'UniformLoss', uniform_weight),
    ):
        if kind is None:
            options.append(f'model.head.{slot}=None')
        else:
            options.append(f'model.head.{slot}.type={kind.capitalize()}{name}')
            options.append(f'model.head.{slot}.loss_weight={weight}')
    return options


def command_of(row: str, args: argparse.Namespace, train_flags: list[str]) -> list[str]:
    """The command that trains the row."""
    tools = Path(__file__).parent
    start = [sys.executable, str(tools / 'train.py'), args.config]
    if args.gpus > 1:
        start = [str(tools / 'dist_train.sh'), args.config, str(args.gpus)]
    options = options_of(row, args.contrast_weight, args.uniform_weight) + args.cfg_options
    work_dir = str(Path(args.work_dir) / row)
    return [*start, '--work-dir', work_dir, *train_flags, '--cfg-options', *options]


def last_metrics(work_dir: Path) -> dict:
    """The newest validation metrics in a work dir; empty if there are none."""
    found = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            scalars = json.loads(line)
            if 'shot/all' in scalars:
                found = scalars
    return found


def main() -> int:
    """Run the rows one after the other, then print the table."""
    args, train_flags = parse_args()
    failed = []
    for row in args.rows:
        command = command_of(row, args, train_flags)
        print(f'# {row}\n{shlex.join(command)}', flush=True)
        if not args.list and subprocess.run(command).returncode:
            failed.append(row)
    if args.list:
        return 0
    table = {f'{row} (paper {ROWS[row][3]})': last_metrics(Path(args.work_dir) / row)
             for row in args.rows}  # fmt: skip
    print(format_shot_table(table))
    if failed:
        print(f'failed: {", ".join(failed)}', file=sys.stderr)
    return len(failed)


if __name__ == '__main__':
    sys.exit(main())
