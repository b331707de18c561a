"""Lay reports of analyze_model.py side by side; needs neither models nor images.

    python tools/analysis_tools/compare_models.py REPORT_DIR REPORT_DIR [...] --out DIR

Writes index.html, one page with everything in it; comparison.json; per_class.csv; and pictures with
the models laid over each other, as PNG and SVG. Differences are to the first model. The reports
must be of the same classes and of the same images.
"""

import argparse
from pathlib import Path

from mmlt.analysis import compare
from mmlt.commands import run


def main(argv=None) -> None:
    """Read the command line, write the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'reports', nargs='+', metavar='REPORT_DIR', help='folder of a report; the first is the base'
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the comparison')
    args = parser.parse_args(argv)
    resolved = [Path(path).resolve() for path in args.reports]
    if len(resolved) < 2 or len(set(resolved)) < len(resolved):
        parser.error(f'REPORT_DIR must be two or more folders, got {" ".join(args.reports)}')
    if Path(args.out).resolve() in resolved:
        parser.error(f'--out must not be one of the reports, got {args.out}')
    page = compare(args.reports, args.out)
    print(f'{page}: written, and beside it the data and pictures')


if __name__ == '__main__':
    run(main)
