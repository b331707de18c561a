"""Run a table or figure of a paper: one config, something changed in every row.

    python tools/ablation_grid.py --list                       # the grids
    python tools/ablation_grid.py bce3s-table2 --list          # the commands of one
    python tools/ablation_grid.py bce3s-table2 --rows ce bce3s --resume
    python tools/ablation_grid.py dbm-table5 --config CONFIG --cfg-options key=value ...

Every row is a run of tools/train.py with the options that --list prints; flags that are not listed
here go to it as they are. The table at the end is of the last epoch of each row as that run printed
it, with the paper's numbers below each where the data are the paper's; a row that failed or was
killed has none, and says why.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

from mmlt import load_class_counts
from mmlt.config_class_counts import parse_class_counts
from mmlt.config_file import paths_fault
from mmlt.engine.ablation_grids import GRIDS, Grid
from mmlt.evaluation import format_shot_table


def parse_args() -> tuple[argparse.Namespace, Grid | None, list[str]]:
    """Read the command line; what is unknown here is for tools/train.py."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('grid', nargs='?', help=f'one of {", ".join(GRIDS)}; left out with --list')
    parser.add_argument('--config', help="config in place of the grid's own")
    parser.add_argument('--rows', nargs='+', metavar='ROW', help='default: all')
    parser.add_argument('--list', action='store_true', help='print the commands, run nothing')
    parser.add_argument('--work-dir', help='a folder for each row (default: work_dirs/GRID)')
    parser.add_argument('--contrast-weight', type=float, help='of bce3s-table2, default 0.1')
    parser.add_argument('--uniform-weight', type=float, help='of bce3s-table2, default 1.0')
    parser.add_argument('--gpus', type=int, default=1, help='processes of each run')
    parser.add_argument('--class-counts', metavar='NAME', help='as tools/train.py takes it')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='further options of each row')
    args, train_flags = parser.parse_known_args()
    if args.grid is None and args.list:
        return args, None, train_flags
    if args.grid and args.grid.endswith('.py'):
        parser.error(f'GRID comes first: ablation_grid.py bce3s-table2 --config {args.grid}')
    if args.grid not in GRIDS:
        parser.error(f'GRID must be one of {", ".join(GRIDS)}, got {args.grid}')
    weights = dict(contrast_weight=args.contrast_weight, uniform_weight=args.uniform_weight)
    weights = {name: value for name, value in weights.items() if value is not None}
    if weights and args.grid != 'bce3s-table2':
        parser.error(f'{", ".join(weights)}: of bce3s-table2 alone, {args.grid} has none')
    grid = GRIDS[args.grid](**weights)
    # The grid's own lies beside the tools, in a checkout and in an installed package.
    args.config = args.config or str(Path(__file__).parents[1] / grid.config)
    if fault := paths_fault(args.config):
        parser.error(fault)
    for word in args.cfg_options:
        if word.find('=') < 1:
            parser.error(f'argument --cfg-options: expected key=value, got {word!r}')
    args.work_dir = args.work_dir or str(Path('work_dirs', args.grid))
    args.rows = args.rows or list(grid.rows)
    for row in args.rows:
        if row not in grid.rows:
            parser.error(f'--rows must be of {", ".join(grid.rows)}, got {row}')
    return args, grid, train_flags


def command_of(row: str, grid: Grid, args: argparse.Namespace, train_flags: list[str]) -> list[str]:
    """The command that trains the row."""
    tools = Path(__file__).parent
    start = [sys.executable, str(tools / 'train.py'), args.config]
    if args.gpus > 1:
        start = [str(tools / 'dist_train.sh'), args.config, str(args.gpus)]
    counts = ['--class-counts', args.class_counts] if args.class_counts else []
    options = [*grid.rows[row].options, *args.cfg_options]
    work_dir = str(Path(args.work_dir, row.replace('=', '-').replace(',', '_')))
    return [*start, '--work-dir', work_dir, *counts, *train_flags, '--cfg-options', *options]


def run_row(command: list[str]) -> tuple[dict, str, str]:
    """Run a row; returns its metrics, what they are of, and why it has none."""
    images, metrics, columns = '', {}, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            print(line, end='', flush=True)
            if line.startswith('validated on '):
                images, columns = line.strip(), []
            elif images and not columns:
                columns = line.split()
            elif images and (found := re.match(r'(epoch|iteration) \d+ \(last\)(.*)', line)):
                pairs = zip(columns, found[2].split())
                metrics = {f'shot/{name}': float(cell) for name, cell in pairs if cell != '-'}
    if run.returncode:
        number = run.returncode
        return {}, '', f'exit status {number}' if number > 0 else f'killed by signal {-number}'
    return metrics, images, '' if metrics else 'no validation'


def of_the_papers_data(grid: Grid, args: argparse.Namespace) -> bool:
    """Whether the rows train on the images per class that the paper's numbers are of."""
    cfg = Config.fromfile(args.config)
    spec = args.class_counts and parse_class_counts(args.class_counts)
    spec = spec or cfg.model.head.get('class_counts')
    return spec is not None and load_class_counts(spec) == load_class_counts(grid.class_counts)


def report(grid: Grid, args: argparse.Namespace, results: dict) -> None:
    """Print the table, the paper's numbers below the row's, and what to know of them."""
    papers = of_the_papers_data(grid, args)
    table, images = {}, ''
    for row in args.rows:
        metrics, of, why = results.get(row, ({}, '', 'not run'))
        images = of or images
        table[f'{row}: {why}' if why else row] = metrics
        if papers and grid.rows[row].paper:
            table[f'{row}, paper'] = {f'shot/{k}': v for k, v in grid.rows[row].paper.items()}
    print(f'{grid.title}; {args.config}', images or 'nothing was validated', sep='\n')
    print(format_shot_table(table))
    if not papers:
        print(f"The paper's numbers are of {grid.class_counts}: not shown beside other data.")


def main() -> int:
    """Run the rows one after the other, then print the table."""
    args, grid, train_flags = parse_args()
    if grid is None:
        for name, make in GRIDS.items():
            print(f'{name:<14} {len(make().rows):>3} rows  {make().title}')
        return 0
    results = {}
    try:
        for row in args.rows:
            command = command_of(row, grid, args, train_flags)
            print(f'# {row}\n{shlex.join(command)}', flush=True)
            if not args.list:
                results[row] = run_row(command)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
    if args.list:
        return 0
    report(grid, args, results)
    failed = [row for row in args.rows if results.get(row, ({}, '', 'not run'))[2]]
    if failed:
        print(f'failed: {", ".join(failed)}', file=sys.stderr)
    return len(failed)


if __name__ == '__main__':
    sys.exit(main())
