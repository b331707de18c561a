"""Print tables and metafiles from the results of tools/reproduce.py, and from nothing else.

    python tools/render_results.py configs/_tables_/*.py configs/*/metafile.yml [--check]

Without ``--check`` the tables in the READMEs and the models in the metafiles are written anew.
With it they are compared, every record with the settings that its row has now, and every row with
its printed number: exit status 1 and a line for each fault.
"""

import argparse
import sys
from pathlib import Path

from mmlt.files import write_whole
from mmlt.reproduction import (
    check_table,
    read_table,
    render_metafile,
    render_table,
    update_readme,
)


def main() -> None:
    """Render or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('files', nargs='+', metavar='FILE', help='table, or metafile.yml')
    parser.add_argument('--check', action='store_true', help='change nothing, say what is wrong')
    args = parser.parse_args()

    faults = []
    for path in map(Path, args.files):
        try:
            if path.suffix == '.yml':
                faults += metafile(path, args.check)
                continue
            table = read_table(path)
            if args.check:
                faults += check_table(table)
                continue
            rendered = render_table(table)
            if table.readme is None:
                print(rendered)
                continue
            text = Path(table.readme).read_text(encoding='utf-8')
            write_whole(table.readme, update_readme(text, table, rendered))
            print(f'{table.readme}: {table.path.name} written')
        except (ValueError, FileNotFoundError) as error:
            faults.append(str(error))
    if faults:
        sys.exit('\n'.join(faults))


def metafile(path: Path, check: bool) -> list[str]:
    """Write the models of a metafile anew, or say that they differ."""
    rendered = render_metafile(path)
    if check and path.read_text(encoding='utf-8') != rendered:
        return [f'{path} does not show the configs and records beside it: render it']
    if not check:
        write_whole(path, rendered)
        print(f'{path}: written')
    return []


if __name__ == '__main__':
    main()
