"""Fill the tables of README.md and configs/lift/README.md from results/*.json, and nothing else.

    python tools/benchmarks/render.py [--check]

With ``--check`` nothing is written; the exit status is 1 where a page says something else.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from _results import FOLDER, markdown

from mmlt.files import write_whole

PAGES = (
    Path(__file__).parent / 'README.md',
    Path(__file__).parents[2] / 'configs/lift/README.md',
)


def fill(text: str) -> str:
    """The page with each ``<!-- result: NAME -->`` followed by its table."""

    def table(match) -> str:
        if not (FOLDER / f'{match[1]}.json').is_file():
            return f'<!-- result: {match[1]} -->\nNot run.\n<!-- end of result -->'
        content = json.loads((FOLDER / f'{match[1]}.json').read_text())
        torch = content['versions']['torch']
        where = f'{content["machine"]}; torch {torch}; commit {content["revision"]}'
        parts = [f'`{content["command"]}`', markdown(content), f'{content["title"]} ({where})']
        return f'<!-- result: {match[1]} -->\n' + '\n\n'.join(parts) + '\n<!-- end of result -->'

    pattern = r'<!-- result: (\w+) -->\n.*?<!-- end of result -->'
    return re.sub(pattern, table, text, flags=re.DOTALL)


def main() -> None:
    """Fill or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='change nothing')
    args = parser.parse_args()
    for page in PAGES:
        text = page.read_text(encoding='utf-8')
        filled = fill(text)
        if not args.check:
            write_whole(page, filled)
        elif filled != text:
            sys.exit(f'{page} does not show what {FOLDER} says: run {Path(__file__).name}')


if __name__ == '__main__':
    main()
