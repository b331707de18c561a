"""How near the features are to the centre of their class."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mmlt.visualization.inputs import as_array, as_labels, as_models, as_values
from mmlt.visualization.ranked_classes import RankedClasses
from mmlt.visualization.style import (
    GROUP_COLORS,
    legend_below,
    new_figure,
    style,
    text_width,
)

QUARTILES = (0.25, 0.5, 0.75)


@style()
def draw_angular_distances(
    distances,
    labels,
    class_counts,
    title: str = '',
    *,
    correct=None,
    many: int = 100,
    few: int = 20,
) -> Figure:
    """Draw the distribution of the angles between features and class centres, by shot group.

    A violin for each group and model, with lines at the quartiles. With ``correct``, its left half
    shows the samples that are classified correctly and the right half the others, both with the
    same width whatever their number.

    Args:
        distances: Degrees, as :func:`mmlt.functional.geometry.angular_distance` returns them,
            (N,) or {model: (N,)}. NaN is left out.
        labels: True class of each sample, in [0, K), (N,).
        class_counts: Training images of each class, >= 0, (K,).
        title: Dataset and checkpoint; the line below the heading.
        correct: Whether each sample is classified correctly, bool (N,), or {model: (N,)} with the
            models of ``distances``. Defaults to None: no split.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Raises:
        ValueError: Shapes or models that do not fit, an angle outside [0, 180], a label outside
            [0, K), bad counts or thresholds.
        TypeError: ``labels`` not integers, ``correct`` not bool.

    Source:
        DBM, fig. 4.

    Example:
        >>> fig = draw_angular_distances([30.0, 40.0, 50.0], [0, 0, 1], [500, 5], 'CIFAR-10-LT')
        >>> fig.axes[0].get_ylabel(), fig.axes[0].get_xticklabels()[0].get_text()
        ('angle to the class centre (degrees)', 'many')
    """
    classes = RankedClasses(class_counts, None, many, few)
    labels = as_labels(labels, len(classes))
    models = {
        name: as_values(part, labels.shape, 'distances', 0, 180)
        for name, part in as_models(distances, 'distances').items()
    }
    rights = _checked_correct(correct, models, labels.shape)
    fig = new_figure(
        'Angle between features and class centre', title, (max(6.4, 1.6 + 2.25 * len(models)), 4.6)
    )
    axes = fig.add_subplot()
    places, handles = {}, []
    for i, (group, members) in enumerate(classes.groups.items()):
        inside, start = members[labels], i * (len(models) + 0.5)
        for m, (name, values) in enumerate(models.items()):
            x, known = start + m, inside & ~np.isnan(values)
            _draw_violin(axes, x, values[known], rights and rights[name][known], group)
            places[x] = name if len(models) > 1 else group
        if len(models) > 1:
            middle = start + (len(models) - 1) / 2
            above = axes.get_xaxis_transform()
            axes.text(middle, 1.01, group, ha='center', va='bottom', transform=above)
        label = f'{classes.describe(group)}, {inside.sum():,} samples'
        handles.append(Patch(color=GROUP_COLORS[group], alpha=0.6, label=label))
    _finish(axes, places)
    legend_below(fig, handles, _explanations(rights is not None))
    return fig


def _finish(axes: Axes, places: dict[float, str]) -> None:
    """Set ticks, limits and labels."""
    widest = max(text_width(name, 9) for name in places.values())
    room = (axes.get_figure().get_figwidth() - 0.8) / (max(places) + 1.2)
    slant = dict(rotation=30, ha='right', rotation_mode='anchor') if widest > 0.9 * room else {}
    axes.set_xticks(list(places), list(places.values()), **slant)
    axes.tick_params(axis='x', length=0)
    axes.set_xlim(-0.6, max(places) + 0.6)
    axes.set_ylim(bottom=0)
    axes.set_ylabel('angle to the class centre (degrees)')
    axes.grid(axis='y')


def _explanations(halves: bool) -> list:
    """The part of the legend that is the same for all groups."""
    handles = [Line2D([], [], color='black', lw=1, ls='--', label='quartiles')]
    if halves:
        left, right = 'left half: classified correctly', 'right half: wrongly'
        handles.append(Patch(fc='#999999', ec='black', label=left))
        handles.append(Patch(fc='white', ec='black', hatch='////', label=right))
    return handles


def _checked_correct(correct, models: dict, shape: tuple) -> dict[str, np.ndarray] | None:
    if correct is None:
        return None
    rights = {name: as_array(part, 'correct') for name, part in as_models(correct, '').items()}
    if not isinstance(correct, Mapping) and len(models) == 1:
        rights = dict(zip(models, rights.values()))
    if set(rights) != set(models):
        raise ValueError(f'correct must have the models {sorted(models)}, got {sorted(rights)}')
    for part in rights.values():
        if part.dtype != bool:
            raise TypeError(f'correct must be bool, got {part.dtype}')
        if part.shape != shape:
            raise ValueError(f'correct must have shape {shape}, got {part.shape}')
    return rights


def _draw_violin(axes: Axes, x: float, values: np.ndarray, right, group: str) -> None:
    if right is None:
        halves = [(values, 'both', None)]
    else:
        halves = [(values[right], 'low', None), (values[~right], 'high', '////')]
    for part, side, hatch in halves:
        if len(part) == 0:
            continue
        violin = axes.violinplot(
            part, [x], widths=0.85, showextrema=False, quantiles=QUARTILES, side=side
        )
        (body,) = violin['bodies']
        color = GROUP_COLORS[group]
        face = 'white' if hatch else color
        body.set(facecolor=face, edgecolor=color if hatch else 'black', alpha=0.6, hatch=hatch)
        violin['cquantiles'].set(color='black', lw=1, ls='--')
