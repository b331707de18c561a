"""A number for each class, over the classes from the most frequent to the rarest."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmlt.visualization.inputs import as_models, as_values
from mmlt.visualization.ranked_classes import (
    NAMED_CLASSES,
    RankedClasses,
    moving_average,
    window_of,
)
from mmlt.visualization.style import (
    GROUP_COLORS,
    GROUP_MARKERS,
    legend_below,
    model_styles,
    new_figure,
    percent_axis,
    style,
)

# Beyond, curves are smoothed and single classes are drawn as pixels, faintly.
MOST_MARKS = 200


@style()
def draw_class_accuracy(
    accuracy,
    class_counts,
    title: str = '',
    *,
    class_names: Sequence[str] | None = None,
    window: int | None = None,
    many: int = 100,
    few: int = 20,
) -> Figure:
    """Draw the accuracy of each class, with a moving average over the classes and group means.

    Of several models only the lines are drawn; up to 20 classes they are the accuracies themselves,
    with a mark for each class.

    Args:
        accuracy: In percent, (K,), NaN for a class without test images: as
            ``ShotAccuracy.per_class``. Or {model: (K,)}.
        class_counts: Training images of each class, >= 0, (K,).
        title: Dataset and checkpoint; the line below the heading.
        class_names: Name of each class, shown up to 20 classes. Defaults to None: the labels.
        window: Classes that are averaged, odd; 1: none. Defaults to None: 1 for several models of
            up to 20 classes, else about a twentieth of them.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Raises:
        ValueError: Shapes that do not fit, an accuracy outside [0, 100], a bad ``window``, bad
            counts or thresholds, more than 16 models.

    Example:
        >>> fig = draw_class_accuracy([90, 40, 20], [500, 50, 5], 'CIFAR-10-LT, epoch 200')
        >>> fig.legends[0].texts[0].get_text()
        'many (> 100 images): 1 class, mean 90.0 %'
    """
    classes = RankedClasses(class_counts, class_names, many, few)
    models = {
        name: as_values(values, (len(classes),), 'accuracy', 0, 100)[classes.order]
        for name, values in as_models(accuracy, 'accuracy').items()
    }
    named = len(classes) <= NAMED_CLASSES
    if window is None and len(models) > 1 and named:
        window = 1
    window = _checked_window(window, len(classes))
    average = f'moving average over {window} classes'
    note = f'lines: {average}' if len(models) > 1 and window > 1 else ''
    marker = dict(marker='o', ms=4) if window == 1 and named else {}
    fig = new_figure('Accuracy of each class', '; '.join(filter(None, (title, note))))
    axes = fig.add_subplot()
    groups = classes.set_x_axis(axes)
    percent_axis(axes, 'accuracy')
    lines = []
    for (name, values), look in zip(models.items(), model_styles(list(models)).values()):
        label = f'{name}: mean {_mean(values):.1f} %' if len(models) > 1 else average
        averages = moving_average(values, window)
        lines += axes.plot(classes.ranks, averages, **look, **marker, label=label)
    if len(models) == 1:
        groups = _draw_groups(axes, classes, *models.values())
        lines.append(Line2D([], [], color='#555555', ls='--', lw=1.3, label='mean of the group'))
    legend_below(fig, groups, lines)
    return fig


@style()
def draw_class_curves(
    values: Mapping,
    class_counts,
    title: str = '',
    *,
    measure: str = 'feature compactness',
    unit: str = '%',
    class_names: Sequence[str] | None = None,
    window: int | None = None,
    many: int = 100,
    few: int = 20,
) -> Figure:
    """Draw a measure of each class, such as compactness or separability, of one or more models.

    Up to 200 classes as they are; of more, a moving average over them, the classes faintly behind
    it. The legend has mean and standard deviation (over classes, divided by K) as BCE3S has them.

    Args:
        values: {model: (K,)}, or (K,) of one model. NaN where a class has no value.
        class_counts: Training images of each class, >= 0, (K,).
        title: Dataset and checkpoint; the line below the heading.
        measure: What is measured, for the heading and the y axis.
        unit: Of the measure; '' for none.
        class_names: Name of each class, shown up to 20 classes. Defaults to None: the labels.
        window: Classes that are averaged, odd; 1: none. Defaults to None: 1 up to 200 classes,
            else about a twentieth of them.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Raises:
        ValueError: Shapes that do not fit, a value that is infinite, a bad ``window``, bad counts
            or thresholds, more than 16 models.

    Source:
        BCE3S, figs. 2, 6, 7 and 10; DBM's Fisher separability has no unit.

    Example:
        >>> curves = {'CE': [80.0, 70.0], 'BCE3S': [90.0, 90.0]}
        >>> fig = draw_class_curves(curves, [500, 5], 'CIFAR-10-LT')
        >>> [text.get_text() for text in fig.legends[0].texts[3:5]]
        ['CE: 75.00 ± 5.00', 'BCE3S: 90.00 ± 0.00']
    """
    classes = RankedClasses(class_counts, class_names, many, few)
    models = {
        name: as_values(part, (len(classes),), 'values')[classes.order]
        for name, part in as_models(values, 'values').items()
    }
    if window is None and len(classes) <= MOST_MARKS:
        window = 1
    window = _checked_window(window, len(classes))
    note = f'lines: moving average over {window} classes' if window > 1 else ''
    heading = f'{measure[:1].upper()}{measure[1:]} of each class'
    fig = new_figure(heading, '; '.join(filter(None, (title, note))))
    axes = fig.add_subplot()
    groups, lines = classes.set_x_axis(axes), []
    axes.grid(axis='y')
    axes.set_ylabel(f'{measure} ({unit})' if unit else measure)
    for (name, part), look in zip(models.items(), model_styles(list(models)).values()):
        if window > 1:
            axes.scatter(
                classes.ranks, part, s=3, lw=0, alpha=0.2, color=look['color'], rasterized=True
            )
        label = f'{name}: ' * bool(name) + f'{_mean(part):.2f} ± {_std(part):.2f}'
        marker = dict(marker='o', ms=4) if len(classes) <= NAMED_CLASSES else {}
        lines += axes.plot(
            classes.ranks, moving_average(part, window) if window > 1 else part,
            **look, **marker, label=label,
        )  # fmt: skip
    legend_below(fig, groups, lines)
    return fig


def _draw_groups(axes: Axes, classes: RankedClasses, values: np.ndarray) -> list:
    """Draw a point for each class and the mean of each group; return the points."""
    crowded = len(classes) > MOST_MARKS
    handles = []
    for name, (start, stop) in classes.spans.items():
        color, marker, part = GROUP_COLORS[name], GROUP_MARKERS[name], values[start:stop]
        axes.scatter(
            classes.ranks[start:stop], part, s=8 if crowded else 26, lw=0, marker=marker,
            color=color, alpha=0.35 if crowded else 0.85, rasterized=crowded, clip_on=False,
        )  # fmt: skip
        mean = _mean(part)
        if stop > start:
            axes.hlines(mean, start + 0.5, stop + 0.5, color=color, ls='--', lw=1.3, zorder=1.5)
        label = classes.describe(name) + (f', mean {mean:.1f} %' if mean == mean else '')
        handles.append(Line2D([], [], color=color, marker=marker, ls='', ms=5, label=label))
    return handles


def _checked_window(window: int | None, num_classes: int) -> int:
    if window is None:
        return window_of(num_classes)
    if not isinstance(window, int) or window < 1 or window % 2 == 0:
        raise ValueError(f'window must be an odd integer >= 1, got {window!r}')
    return window


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def _std(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.std()) if len(known) else np.nan
