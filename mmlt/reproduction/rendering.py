"""Tables from records, and the check that nothing else is printed."""

import re
import statistics
from pathlib import Path

from mmlt.reproduction.run import Run
from mmlt.reproduction.table import Row, Table

COLUMNS = ('many', 'medium', 'few', 'all', 'worst', 'harmonic')
TOLERANCE = 0.5  # ten published logs: a best epoch is at most 0.49 above the last


def records_of(row: Row) -> list[dict]:
    """The records of a row's seeds that are there.

    Raises:
        ValueError: One was changed by hand, or is of other settings than the row has now.
    """
    records = (Run(row, seed, Path()).record() for seed in row.seeds)
    return [record for record in records if record is not None]


def render_table(table: Table) -> str:
    """A Markdown table of the last epochs; what was not run says so.

    Raises:
        ValueError: A record of other settings, see :func:`records_of`.
    """
    return _render(table, {row.name: records_of(row) for row in table.rows})


def _render(table: Table, found: dict[str, list[dict]]) -> str:
    """The table, from the records of its rows by name."""
    head = ['method', 'seeds', *COLUMNS, 'ECE', 'best epoch (not ranked by)']
    printed = any(row.paper is not None for row in table.rows)
    head += [table.source] * printed
    lines = [' | '.join(head), ' | '.join(['---'] * len(head))]
    for row in table.rows:
        records = found[row.name]
        paper = ['' if row.paper is None else f'{row.paper:.2f}'] * printed
        if not records:
            lines.append(' | '.join([row.name, 'not run', *[''] * (len(COLUMNS) + 2), *paper]))
            continue
        cells = [_mean([r['last'][f'shot/{name}'] for r in records]) for name in COLUMNS]
        cells.append(_mean([_calibration(r) for r in records]))
        # Not one of validation images, beside accuracies on test images.
        best = [r['best']['all'] for r in records if (r['best'] or {}).get('chosen_on') == 'test']
        seeds = ', '.join(str(r['seed']) for r in records)
        lines.append(' | '.join([row.name, seeds, *cells, _mean(best), *paper]))
    lines = [f'| {line} |' for line in lines]
    remarks = {}
    for row in table.rows:
        remarks.setdefault(_remark(row, found[row.name]), []).append(row.name)
    remarks = [f'- {"; ".join(names)}: {text}' for text, names in remarks.items() if text]
    notes = _notes([r for records in found.values() for r in records])
    return '\n'.join([*lines, '', *notes, *remarks]).rstrip() + '\n'


def update_readme(text: str, table: Table, rendered: str) -> str:
    """Put a rendered table between its two marks in a README.

    Raises:
        ValueError: The marks are not there.
    """
    name = re.escape(table.path.name)
    pattern = rf'(<!-- results: {name} -->\n).*?(<!-- end of results -->)'
    if not re.search(pattern, text, re.DOTALL):
        raise ValueError(
            f'no place for {table.path.name}: put the lines "<!-- results: {table.path.name} -->" '
            'and "<!-- end of results -->" into the README'
        )
    return re.sub(pattern, lambda m: f'{m[1]}{rendered}{m[2]}', text, count=1, flags=re.DOTALL)


def check_table(table: Table) -> list[str]:
    """What is wrong with a table and its README, a line each."""
    faults = []
    found = {row.name: records_of(row) for row in table.rows}  # reads each row's config: once
    for row in table.rows:
        for record in found[row.name]:
            where = f'{row.name}, seed {record["seed"]}'
            if 'test' in (row.chosen_on, record.get('chosen_on')):
                faults.append(f'{where}: its settings were chosen on test images')
            off = None if row.paper is None else record['last']['shot/all'] - row.paper
            if off is not None and abs(off) > TOLERANCE and not row.reason:
                faults.append(
                    f'{where}: the last epoch has {record["last"]["shot/all"]:.2f}, the paper '
                    f'prints {row.paper:.2f}, and the row states no reason'
                )
    if table.readme is not None:
        text = Path(table.readme).read_text(encoding='utf-8')
        if update_readme(text, table, _render(table, found)) != text:
            faults.append(f'{table.readme} does not show what the records of {table.path} say')
    return faults


def _mean(values: list) -> str:
    values = [value for value in values if value is not None and value == value]
    if not values:
        return ''
    mean = f'{statistics.mean(values):.2f}'
    return mean if len(values) == 1 else f'{mean} ± {statistics.stdev(values):.2f}'


def _remark(row: Row, records: list[dict]) -> str:
    words = [row.reason] if row.reason else []
    if origin := next((r['begins_as'] for r in records if r.get('begins_as')), None):
        words.append('its first {epoch} epochs are those of {row}'.format(**origin))
    if row.trials:
        words.append(f'settings chosen on {row.chosen_on} images, {row.trials} trials')
    return '; '.join(words)


def _calibration(record: dict):
    return record['last'].get('calibration/ece')


def _notes(records: list[dict]) -> list[str]:
    if not records:
        return ['Not run.', '']
    keys = ('draw', 'augmentation', 'precision', 'machine')
    said = {key: sorted({str(record[key]) for record in records}) for key in keys}
    return [
        'Last epoch, no TTA. '
        + '; '.join(f'{key}: {" / ".join(values)}' for key, values in said.items())
        + '. With several seeds: mean and sample standard deviation.',
        '',
    ]
