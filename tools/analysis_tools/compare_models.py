"""Lay reports of analyze_model.py side by side; needs neither models nor images.

    python tools/analysis_tools/compare_models.py REPORT_DIR REPORT_DIR [...] --out DIR

Writes index.html, one page with everything in it; comparison.json; per_class.csv; and pictures with
the models laid over each other, as PNG and SVG. Differences are to the first model. The reports
must be of the same classes and of the same images.
"""

import argparse
import csv
import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from analyze_model import ACCURACIES, CAPTIONS, GROUPS, number, write_json
from plot_training import short_names

from mmlt.visualization import (
    Picture,
    Table,
    draw_class_accuracy,
    draw_class_curves,
    html_page,
    save_figure,
)

ERRORS = ('ece', 'ece_many', 'ece_medium', 'ece_few', 'mce')
FACTS = ('label', 'name', 'train_images', 'shot_group', 'test_images')
MEASURES = {
    'compactness': 'feature compactness',
    'separability': 'feature separability',
    'separability_global': 'centred feature separability',
    'classifier_separability': 'classifier separability',
}
PICTURES = CAPTIONS | {
    'per_class_accuracy': 'Moving average of the accuracy over the classes, by training images.',
    'separability': "How far the features of a class stand from the other classes' means, minus "
    'the mean of their own class: near 50 by construction. BCE3S, eq. 15, figs. 2 and 7.',
    'separability_global': 'The same, minus the mean of the class means: a reading of this '
    'library, which is not near 50 by construction.',
}


class Report(NamedTuple):
    """What analyze_model.py wrote into a folder."""

    values: dict  # report.json
    facts: list  # of each class, the columns FACTS
    columns: dict  # measure -> (K,)
    labels: np.ndarray  # (N,)
    predictions: np.ndarray  # (N,)


def main(argv=None) -> None:
    """Read the command line and the reports, write the comparison."""
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
    compare([read_report(path) for path in args.reports], args.reports, Path(args.out))


def read_report(folder: str) -> Report:
    """Read the files of a report."""
    folder = Path(folder)
    missing = [
        name
        for name in ('report.json', 'per_class.csv', 'predictions.npz')
        if not (folder / name).is_file()
    ]
    if missing:
        raise ValueError(f'REPORT_DIR {folder} has no {missing[0]}: analyze_model.py writes it')
    values = json.loads((folder / 'report.json').read_text(encoding='utf-8'))
    with open(folder / 'per_class.csv', newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    columns = {
        name: np.array([float(row[name] or 'nan') for row in rows])
        for name in rows[0]
        if name not in FACTS
    }
    with np.load(folder / 'predictions.npz') as arrays:
        labels, predictions = arrays['labels'], arrays['predictions']
    facts = [[row[name] for name in FACTS] for row in rows]
    return Report(values, facts, columns, labels, predictions)


def compare(reports: list[Report], folders: list[str], out: Path) -> None:
    """Check that the reports belong together and write the files."""
    for report, folder in zip(reports[1:], folders[1:]):
        check_same(reports[0], report, f'{folder} and {folders[0]}')
    names = [report.values['name'] for report in reports]
    if len(set(names)) < len(names):
        names = short_names(folders)
    models = dict(zip(names, reports))
    out.mkdir(parents=True, exist_ok=True)
    rows = {name: scalars(report, reports[0]) for name, report in models.items()}
    base = rows[names[0]]
    deltas = {
        name: {key: value - base[key] for key, value in row.items() if key in base}
        for name, row in rows.items()
    }
    write_json(out / 'comparison.json', dict(base=names[0], values=rows, deltas=deltas))
    write_per_class(out / 'per_class.csv', models)
    values = reports[0].values
    title = f'{" / ".join(names)}: {values["dataset"]["name"]}, {values["split"]} split'
    figures = draw(models, title)
    pngs = {key: save_figure(fig, out / key)[0].read_bytes() for key, fig in figures.items()}
    (out / 'index.html').write_text(page(title, rows, deltas, models, pngs), encoding='utf-8')
    print(f'{out / "index.html"}: written, and beside it the data and pictures')


def check_same(first: Report, other: Report, which: str) -> None:
    """Refuse reports of other classes or images; say what differs."""
    for key in ('class_counts', 'many', 'few'):
        a, b = first.values[key], other.values[key]
        if a == b:
            continue
        if key == 'class_counts' and len(a) == len(b):
            k = next(k for k in range(len(a)) if a[k] != b[k])
            raise ValueError(f'class_counts of {which} differ: class {k} has {b[k]} and {a[k]}')
        if key == 'class_counts':
            raise ValueError(f'class_counts of {which} differ: {len(b)} and {len(a)} classes')
        raise ValueError(f'the threshold {key} of {which} differs: {b} and {a}')
    if len(first.labels) != len(other.labels):
        sizes = f'{len(other.labels)} and {len(first.labels)}'
        raise ValueError(f'the labels of {which} differ: {sizes} images')
    different = np.flatnonzero(first.labels != other.labels)
    if len(different):
        i = different[0]
        raise ValueError(
            f'the labels of {which} differ: image {i} is of class {other.labels[i]} and '
            f'{first.labels[i]}'
        )


def scalars(report: Report, first: Report) -> dict[str, float]:
    """All numbers of a model, NaN for what is missing."""
    values = report.values
    found = {f'accuracy/{key}': values['accuracy'][key] for key in ACCURACIES}
    found |= {f'calibration/{key}': values['calibration'][key] for key in ERRORS}
    for measure, parts in values['geometry'].items():
        # Values of different covariances do not compare.
        if measure != 'fisher' or values['fisher_covariance'] == first.values['fisher_covariance']:
            found |= {f'{measure}/{key}': part for key, part in parts.items()}
    found |= {f'neural_collapse/{k}': v for k, v in (values['neural_collapse'] or {}).items()}
    right, first_right = (part.predictions == part.labels for part in (report, first))
    found['changes/gained'] = int((right & ~first_right).sum())
    found['changes/lost'] = int((~right & first_right).sum())
    return {key: math.nan if value is None else value for key, value in found.items()}


def write_per_class(path: Path, models: dict[str, Report]) -> None:
    """Write a line a class: every measure of every model, and its difference to the first."""
    first = next(iter(models.values()))
    columns = {}
    for measure in first.columns:
        for name, report in models.items():
            if measure in report.columns:
                columns[f'{measure} {name}'] = report.columns[measure]
        for name, report in list(models.items())[1:]:
            if measure in report.columns:
                delta = report.columns[measure] - first.columns[measure]
                columns[f'{measure} {name} delta'] = delta
    with open(path, 'w', newline='', encoding='utf-8') as file:
        write = csv.writer(file).writerow
        write([*FACTS, *columns])
        for k, facts in enumerate(first.facts):
            cells = (values[k] for values in columns.values())
            write([*facts, *('' if math.isnan(cell) else f'{cell:.6g}' for cell in cells)])


def draw(models: dict[str, Report], title: str) -> dict:
    """The pictures, by the name of their file."""
    first = next(iter(models.values()))
    counts = first.values['class_counts']
    common = {key: first.values[key] for key in ('many', 'few')}
    common['class_names'] = [facts[1].split(',')[0][:20] for facts in first.facts]
    accuracy = {name: report.columns['accuracy'] for name, report in models.items()}
    figures = {'per_class_accuracy': draw_class_accuracy(accuracy, counts, title, **common)}
    for key, measure in MEASURES.items():
        curves = {name: rep.columns[key] for name, rep in models.items() if key in rep.columns}
        if curves:
            figures[key] = draw_class_curves(curves, counts, title, measure=measure, **common)
    return figures


def page(title: str, rows: dict, deltas: dict, models: dict, pngs: dict) -> str:
    """The page of the comparison."""

    def table(prefix: str, columns, caption: str) -> Table:
        cells = [
            [name, *(cell(row, deltas[name], f'{prefix}/{c}', name) for c in columns)]
            for name, row in rows.items()
        ]
        return Table(['', *columns], cells, caption)

    base = next(iter(rows))

    def cell(row: dict, delta: dict, key: str, name: str) -> str:
        text, change = number(row.get(key)), delta.get(key, math.nan)
        return text if name == base or math.isnan(change) else f'{text} ({change:+.2f})'

    groups = ('mean', 'std', *GROUPS)
    geometry = [
        table(key, groups, f'{measure[:1].upper()}{measure[1:]} (%)')
        for key, measure in MEASURES.items()
    ]
    geometry += [
        table('fisher', groups, 'Fisher separability, DBM eq. 12'),
        table('angular_distance', groups, 'Angle to the class centre (degrees), DBM fig. 4'),
    ]
    collapse = list(dict.fromkeys(k for row in rows.values() for k in row if 'collapse/' in k))
    if collapse:
        cells = [
            [
                key.split('/')[1],
                *(f'{row[key]:.4g}' if key in row else '-' for row in rows.values()),
            ]
            for key in collapse
        ]
        caption = 'Neural collapse: distances, all 0 at full collapse.'
        geometry.append(Table(['', *rows], cells, caption))
    changes = Table(
        ['', 'gained', 'lost'],
        [
            [name, str(row['changes/gained']), str(row['changes/lost'])]
            for name, row in rows.items()
            if name != base
        ],
        f'Images that are right here and wrong with {base} (gained), and the other way round.',
    )
    sources = [
        f'{name}: {report.values["config"]}, {report.values["checkpoint"]}.'
        for name, report in models.items()
    ]
    notes = list(dict.fromkeys(note for rep in models.values() for note in rep.values['notes']))
    return html_page(
        title,
        {
            '': [*sources, f'In brackets: the difference to {base}.', *notes],
            'Accuracy': [
                table('accuracy', ACCURACIES, 'Accuracy (%)'),
                changes,
                Picture(pngs['per_class_accuracy'], PICTURES['per_class_accuracy']),
            ],
            'Calibration': [table('calibration', ERRORS, 'Calibration error (%)')],
            'Geometry': [
                *geometry,
                *(Picture(pngs[key], PICTURES[key]) for key in MEASURES if key in pngs),
            ],
        },
    )


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f'error: {error}')
