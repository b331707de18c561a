"""What all benchmarks share: steps that take turns, and a JSON of what came out."""

import json
import statistics
import sys
import time
from pathlib import Path

from mmlt.files import write_whole
from mmlt.reproduction.run import machine, revision, versions

FOLDER = Path(__file__).parent / 'results'


def medians(steps: dict, iterations: int, warm_up: int = 2) -> dict[str, float]:
    """Median CPU seconds of each step; they take turns, and what else runs is not counted."""
    times = {name: [] for name in steps}
    for iteration in range(iterations + warm_up):
        for name, step in steps.items():
            begin = time.process_time()
            step()
            if iteration >= warm_up:
                times[name].append(time.process_time() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def save(name: str, title: str, head: list[str], rows: list[list], threads: int | None = None):
    """Print a table and write results/NAME.json, from which render.py fills README.md.

    ``threads`` are those of the processes that were measured, where they are not this one's.
    """
    command = ' '.join([f'python tools/benchmarks/{Path(sys.argv[0]).name}', *sys.argv[1:]])
    table = dict(title=title, command=command, head=head, rows=rows)
    about = dict(revision=revision(), versions=versions(), machine=machine(threads))
    FOLDER.mkdir(exist_ok=True)
    write_whole(FOLDER / f'{name}.json', json.dumps(table | about, indent=1) + '\n')
    print(markdown(table))


def markdown(table: dict) -> str:
    """The table in Markdown."""
    lines = [table['head'], ['---'] * len(table['head']), *table['rows']]
    return '\n'.join('| ' + ' | '.join(map(str, line)) + ' |' for line in lines)
