"""Reports side by side: whether they belong together, and how they differ from the first."""

import csv
import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmlt.analysis.comparison_page import draw, page
from mmlt.analysis.files import FACTS, write_json, write_per_class
from mmlt.analysis.model_outputs import ACCURACIES
from mmlt.analysis.model_page import ERRORS
from mmlt.evaluation import short_names
from mmlt.files import write_whole
from mmlt.visualization import save_figure


class Report(NamedTuple):
    """What :func:`analyze` wrote into a folder."""

    values: dict  # report.json
    facts: list  # of each class, the columns FACTS
    columns: dict  # measure -> (K,)
    labels: np.ndarray  # (N,)
    predictions: np.ndarray  # (N,)
    geometry: dict  # geometry.npz; empty for a report of an older version


def compare(folders: Sequence[str], out: str | Path) -> Path:
    """Lay reports of :func:`analyze` side by side; needs neither models nor images.

    Writes index.html, comparison.json, per_class.csv and pictures as PNG and SVG. Differences are
    to the first. Models of one name are called by their folders.

    Args:
        folders: Two or more folders of reports, of the same classes and the same images.
        out: The folder of the comparison.

    Returns:
        Path: The page.

    Raises:
        ValueError: A folder without a report, or reports that do not belong together.
    """
    reports, out = [read_report(folder) for folder in folders], Path(out)
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
    write_per_class(out / 'per_class.csv', reports[0].facts, _columns(models))
    values = reports[0].values
    title = f'{" / ".join(names)}: {values["dataset"]["name"]}, {values["split"]} split'
    figures = draw(models, title)
    pngs = {key: save_figure(fig, out / key)[0].read_bytes() for key, fig in figures.items()}
    index = out / 'index.html'
    write_whole(index, page(title, rows, deltas, models, pngs))
    return index


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
    try:
        return _read(folder)
    except (ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f'REPORT_DIR {folder} is damaged ({error}): run analyze_model.py again'
        ) from error


def _read(folder: Path) -> Report:
    values = json.loads((folder / 'report.json').read_text(encoding='utf-8'))
    with open(folder / 'per_class.csv', newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    if len(rows) != (number := len(values['class_counts'])):
        raise ValueError(f'per_class.csv has {len(rows)} of {number} classes')
    columns = {
        name: np.array([float(row[name] or 'nan') for row in rows])
        for name in rows[0]
        if name not in FACTS
    }
    with np.load(folder / 'predictions.npz') as arrays:
        labels, predictions = arrays['labels'], arrays['predictions']
    facts = [[row[name] for name in FACTS] for row in rows]
    geometry = {}
    if (folder / 'geometry.npz').is_file():
        with np.load(folder / 'geometry.npz') as arrays:
            geometry = dict(arrays)
    return Report(values, facts, columns, labels, predictions, geometry)


def check_same(first: Report, other: Report, which: str) -> None:
    """Refuse reports of other classes or images; say what differs."""
    for what in ('split', 'dataset'):
        a, b = first.values[what], other.values[what]
        if a != b:
            raise ValueError(f'{which} are reports of other images: {what} {b} and {a}')
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
    names = [[fact[FACTS.index('name')] for fact in report.facts] for report in (first, other)]
    if names[0] != names[1]:
        k = next(k for k, (a, b) in enumerate(zip(*names)) if a != b)
        raise ValueError(f'classes of {which} differ: {k} is {names[1][k]!r} and {names[0][k]!r}')
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


def _columns(models: dict[str, Report]) -> dict:
    """Every measure of every model, and its difference to the first."""
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
    return columns
