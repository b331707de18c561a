"""How a run went: losses and accuracies over epochs, from what mmengine logs."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mmlt.visualization.inputs import as_values
from mmlt.visualization.style import (
    BLACK,
    GROUP_COLORS,
    GROUP_MARKERS,
    PALETTE,
    legend_below,
    model_styles,
    new_figure,
    plain_numbers,
    style,
)

ACCURACIES = ('shot/all', 'shot/many', 'shot/medium', 'shot/few')
TOP_1 = 'accuracy/top1'  # drawn of runs without shot accuracies
ACCURACY_LABEL = 'accuracy (%)'
_COLUMNS = 3
_FEW_POINTS = 30


class TrainingLog(NamedTuple):
    """The scalars of a run.

    Attributes:
        unit (str): 'epoch', or 'iteration' of a run that does not count epochs.
        scalars (dict): name -> (epochs or iterations (n,), values (n,)).
    """

    unit: str
    scalars: dict[str, tuple[np.ndarray, np.ndarray]]


def read_training_log(work_dir: str | PathLike) -> TrainingLog:
    """Read ``<work_dir>/*/vis_data/scalars.json``, which mmengine's LocalVisBackend writes.

    What is logged several times in an epoch is averaged over it. What a resumed or repeated run
    logs takes the place of what was logged before from there on. Folders are in the order of their
    names, which are times; if a clock went back, so that a run would go on from a step that none
    before it had reached, in the order of their first steps.

    Args:
        work_dir: Folder of a run, or one of its folders named by date and time.

    Raises:
        FileNotFoundError: No scalars.json.
        ValueError: A line that is not a JSON object.

    Example:
        >>> read_training_log('work_dirs/run').scalars['shot/all']  # doctest: +SKIP
        (array([1., 2.]), array([23.4, 31.5]))
    """
    folder = Path(work_dir)
    files = sorted(folder.glob('*/vis_data/scalars.json')) or [folder / 'vis_data' / 'scalars.json']
    training, validation, unit = {}, {}, 'epoch'
    for lines in _in_order([_read_lines(file) for file in files]):
        trained = {line['iter']: line for line in lines if 'iter' in line}
        if trained:
            first = trained[min(trained)]
            unit = 'epoch' if 'epoch' in first else 'iteration'
            begin = first.get('epoch', first['iter'])
            training = {i: line for i, line in training.items() if i < first['iter']}
            validation = {step: line for step, line in validation.items() if step < begin}
        training |= trained
        validation |= {line['step']: line for line in lines if 'iter' not in line}
    points = {}
    for line in training.values():
        _add(points, line.get('epoch', line['iter']), line, skip=('epoch', 'iter', 'step'))
    for step, line in validation.items():
        # A validation logs its times under the names that training has.
        _add(points, step, line, skip=('step', 'time', 'data_time'))
    return TrainingLog(unit, {name: _averaged(values) for name, values in points.items()})


@style()
def draw_training_curves(logs: Mapping[str, TrainingLog], title: str = '') -> Figure:
    """Draw losses and validation accuracies of a run, or of several laid over each other.

    Of one run, all losses share a panel, and all accuracies; of several runs each scalar has its
    own. A scalar that is NaN throughout, such as the accuracy of an empty group, is left out.

    Args:
        logs: Name of the run -> as :func:`read_training_log` returns it.
        title: Dataset and model; the line below the heading.

    Raises:
        ValueError: No runs, more than 16, runs counted in epochs and in iterations, or neither
            losses nor accuracies.

    Example:
        >>> scalars = {'loss': ([1, 2], [2.3, 1.9]), 'shot/all': ([2], [31.0])}
        >>> fig = draw_training_curves({'run': TrainingLog('epoch', scalars)})
        >>> [axes.get_ylabel() for axes in fig.axes]
        ['loss', 'accuracy (%)']
    """
    units = {log.unit for log in logs.values()}
    if len(units) != 1:
        found = sorted(units) or 'no runs'
        raise ValueError(f'logs must be of runs all counted in the same unit, got {found}')
    runs = {run: _checked(log.scalars) for run, log in logs.items()}
    losses, accuracies = _names(runs)
    if not losses and not accuracies:
        raise ValueError("logs have neither a loss nor 'shot/...' accuracies")
    drawn = [scalars[name] for scalars in runs.values() for name in losses | accuracies
             if name in scalars]  # fmt: skip
    steps = np.concatenate([steps for steps, _ in drawn])
    span = *units, steps.min(), steps.max()
    if len(runs) > 1:
        return _draw_several(runs, losses | accuracies, title, span)
    ((name, scalars),) = runs.items()
    panels = [names for names in (losses, accuracies) if names]
    return _draw_one(scalars, panels, '; '.join(filter(None, (title, name))), span)


def _draw_one(scalars: dict, panels: list[dict], title: str, span: tuple) -> Figure:
    fig = new_figure('Training', title, (4.4 * len(panels) + 0.6, 4.4))
    for axes, names in zip(fig.subplots(1, len(panels), squeeze=False)[0], panels):
        for i, name in enumerate(names):
            short = name.removeprefix('shot/')
            color = GROUP_COLORS.get(short) or (BLACK, *PALETTE)[i % (len(PALETTE) + 1)]
            _draw_line(axes, scalars[name], short, GROUP_MARKERS.get(short, '.'), color=color)
        _finish(axes, next(iter(names.values())), span)
        axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.15), ncols=min(len(names), 4))
    return fig


def _draw_several(runs: dict, names: dict[str, str], title: str, span: tuple) -> Figure:
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    fig = new_figure('Training', title, (3.2 * columns + 0.4, 2.7 * rows + 1))
    styles = model_styles(list(runs))
    panels = fig.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, label) in zip(panels, names.items()):
        for run, scalars in runs.items():
            if name in scalars:
                _draw_line(axes, scalars[name], run, '.', **styles[run])
        axes.set_title(name)
        _finish(axes, label, span)
    for axes in panels[len(names) :]:
        axes.remove()
    legend_below(fig, [Line2D([], [], label=run, **look) for run, look in styles.items()], rows=1)
    return fig


def _draw_line(axes: Axes, points, label: str, marker: str, **look) -> None:
    dots = dict(marker=marker, ms=5) if len(points[0]) <= _FEW_POINTS else {}
    axes.plot(*points, label=label, **dots, **look)


def _finish(axes: Axes, label: str, span: tuple) -> None:
    """Set labels, and the limits of the whole run also where it was validated once."""
    unit, first, last = span
    room = 0.03 * (last - first) or 0.5
    axes.set(xlabel=unit, ylabel=label, xlim=(first - room, last + room))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    plain_numbers(axes.xaxis)
    axes.grid(axis='y')
    if label == ACCURACY_LABEL:
        low, high = axes.get_ylim()
        missing = max(0, 10 - (high - low)) / 2  # noise is not to fill the panel
        axes.set_ylim(max(low - missing, -2), min(high + missing, 102))


def _names(runs: dict) -> tuple[dict[str, str], dict[str, str]]:
    """Losses, their sum first, and accuracies that some run has; with the label of their axis."""
    found = {
        name: None
        for scalars in runs.values()
        for name, (_, values) in scalars.items()
        if not np.isnan(values).all()
    }
    # As in mmengine, a loss is what has "loss" in its name; they stay in the order of the log.
    losses = [name for name in found if 'loss' in name]
    losses.sort(key=lambda name: name != 'loss')
    accuracies = [name for name in ACCURACIES if name in found]
    if not accuracies and TOP_1 in found:
        accuracies = [TOP_1]
    return dict.fromkeys(losses, 'loss'), dict.fromkeys(accuracies, ACCURACY_LABEL)


def _checked(scalars: Mapping) -> dict:
    checked = {}
    for name, (steps, values) in scalars.items():
        steps = as_values(steps, (None,), f'the steps of {name!r}')
        # A loss that ran away is infinite: there is nothing to draw, as of NaN.
        values = np.where(np.isinf(values), np.nan, values)
        checked[name] = steps, as_values(values, steps.shape, f'the values of {name!r}')
    return checked


def _read_lines(file: Path) -> list[dict]:
    if not file.is_file():
        raise FileNotFoundError(
            f'{file.parents[1]} has no vis_data/scalars.json: wanted is the work dir of a run with '
            'a LocalVisBackend'
        )
    lines = []
    for number, text in enumerate(file.read_text(encoding='utf-8').splitlines(), start=1):
        try:
            lines.append(json.loads(text))
        except ValueError as error:
            raise ValueError(f'{file}, line {number}, is not JSON: {error}') from error
    return lines


def _in_order(runs: list[list[dict]]) -> list[list[dict]]:
    """The runs as they followed each other: by name, or by first step if the names cannot be."""
    steps = [[line.get('epoch', line['iter']) for line in run if 'iter' in line] for run in runs]
    trained = [run for run in steps if run]
    gap = max((b - a for run in trained for a, b in zip(run, run[1:])), default=1)
    reached = min((run[0] for run in trained), default=0) - 1
    for run in trained:
        if run[0] > reached + max(gap, 1):
            # A validation alone has no step of training: it comes last.
            order = sorted(range(len(runs)), key=lambda i: (not steps[i], *steps[i][:1], i))
            return [runs[i] for i in order]
        reached = max(reached, *run)
    return runs


def _add(points: dict, step: int, line: dict, skip: tuple[str, ...]) -> None:
    for name, value in line.items():
        if name not in skip and isinstance(value, int | float):
            points.setdefault(name, {}).setdefault(step, []).append(value)


def _averaged(values: dict[int, list[float]]) -> tuple[np.ndarray, np.ndarray]:
    steps = sorted(values)
    return np.array(steps, float), np.array([np.mean(values[step]) for step in steps])
