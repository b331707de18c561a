"""One picture for each model, side by side, on scales that all of them share."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmlt.visualization.class_matrices import _block_means
from mmlt.visualization.inputs import as_array, as_labels, as_models, as_values
from mmlt.visualization.ranked_classes import NAMED_CLASSES, RankedClasses
from mmlt.visualization.style import (
    GROUP_COLORS,
    GROUP_MARKERS,
    NO_DATA,
    PALETTE,
    legend_below,
    new_figure,
    style,
)

MOST_COLUMNS = 4
_CELL, _MARKERS = 3.0, 'o^s'


@style()
def draw_separability_grid(
    matrices: Mapping[str, np.ndarray],
    class_counts,
    title: str = '',
    *,
    columns: int | None = None,
    many: int = 100,
    few: int = 20,
) -> Figure:
    """Draw the separability of the classifier vectors of several models with one colour range.

    The range holds the values of all models but half a percent at either end, so that a colour
    means the same everywhere; a picture of each model with a range of its own hides what differs.

    Args:
        matrices: Model -> (K, K), as :func:`mmlt.functional.geometry.separability_matrix` returns
            it, fractions in [0, 1]; shown in percent.
        class_counts: Training images of each class, >= 0, (K,).
        title: Dataset; the line below the heading.
        columns: Models in a row. Defaults to None: all up to 4, else rows of equal length.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Raises:
        ValueError: No model, shapes that do not fit, values outside [0, 1], bad counts, thresholds
            or columns.

    Source:
        BCE3S, eq. 36, fig. 8.

    Example:
        >>> same, far = torch.full((2, 2, 2), 0.5), torch.ones(2, 2)
        >>> fig = draw_separability_grid({'CE': same[0], 'BCE': far}, [500, 5], 'CIFAR-10-LT')
        >>> {axes.images[0].get_clim() for axes in fig.axes[:2]}
        {(50.0, 100.0)}
    """
    classes = RankedClasses(class_counts, None, many, few)
    cells = {
        name: _block_means(as_array(matrix, 'matrices'), classes)
        for name, matrix in as_models(matrices, 'matrices').items()
    }
    shown = np.concatenate([part[~np.isnan(part)] for part, _ in cells.values()])
    low, high = np.percentile(shown, [0.5, 99.5]) if len(shown) else (0, 100)
    low, high = (low - 1, high + 1) if high - low < 1e-6 else (low, high)
    fig, places = _grid('Separability of the classifier vectors', title, cells, columns)
    for axes, (part, size) in zip(places, cells.values()):
        end = len(part) * size + 0.5
        image = axes.imshow(
            np.ma.masked_invalid(part),
            cmap=colormaps['viridis'].with_extremes(bad=NO_DATA),
            norm=Normalize(low, high),
            extent=(0.5, end, end, 0.5),
        )
        for start, stop in classes.spans.values():
            if 0 < start < stop:
                axes.axhline(start + 0.5, color='white', lw=0.8)
                axes.axvline(start + 0.5, color='white', lw=0.8)
        axes.set(xticks=[1, len(classes)], yticks=[1, len(classes)])
    beyond = (shown < low).any(), (shown > high).any()
    extend = {(False, False): 'neither', (True, False): 'min', (False, True): 'max'}
    fig.colorbar(
        image, ax=places, label='separability (%), classes by rank', shrink=0.9, aspect=40,
        extend=extend.get(beyond, 'both'),
    )  # fmt: skip
    return fig


@style()
def draw_embedding_grid(
    embeddings: Mapping[str, Sequence],
    class_counts,
    title: str = '',
    *,
    method: str = 't-SNE',
    columns: int | None = None,
    class_names: Sequence[str] | None = None,
    many: int = 100,
    few: int = 20,
) -> Figure:
    """Draw the points of several models side by side, a class in the same colour everywhere.

    Each model has a plane of its own: positions and distances do not compare between them.

    Args:
        embeddings: Model -> (points (M, 2), labels (M,)), such as an :class:`Embedding`.
        class_counts: Training images of each class, >= 0, (K,).
        title: Dataset; the line below the heading.
        method: What made the points.
        columns: Models in a row. Defaults to None: all up to 4, else rows of equal length.
        class_names: Name of each class, for the legend. Defaults to None: the labels.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Raises:
        ValueError: No model, shapes that do not fit, a label outside [0, K).

    Source:
        BCE3S, figs. 3 and 9.

    Example:
        >>> one = ([[0.0, 1.0], [1.0, 0.0]], [0, 1])
        >>> fig = draw_embedding_grid({'CE': one, 'BCE': one}, [500, 5], class_names=['cat', 'dog'])
        >>> [axes.get_title() for axes in fig.axes]
        ['CE', 'BCE']
    """
    classes = RankedClasses(class_counts, class_names, many, few)
    parts = {}
    for name, embedding in as_models(embeddings, 'embeddings').items():
        labels = as_labels(embedding[1], len(classes))
        parts[name] = as_values(embedding[0], (len(labels), 2), 'points'), labels
    marks = _class_marks(classes, {int(k) for _, labels in parts.values() for k in labels})
    fig, places = _grid(f'{method} of the features', title, parts, columns)
    for axes, (points, labels) in zip(places, parts.values()):
        for members, mark, _ in marks:
            inside = members[labels]
            axes.scatter(*points[inside].T, s=12, lw=0.2, ec='white', alpha=0.8, **mark,
                         rasterized=len(labels) > 2000)  # fmt: skip
        axes.set(xticks=[], yticks=[], aspect='equal')
        axes.set_adjustable('datalim')
    legend_below(fig, [Line2D([], [], ls='', ms=6, **mark, label=text) for _, mark, text in marks])
    return fig


def _class_marks(classes: RankedClasses, present: set[int]) -> list[tuple]:
    """What is drawn alike: members (K,), the mark, its name."""
    if len(present) > NAMED_CLASSES:
        return [
            (members, dict(color=GROUP_COLORS[g], marker=GROUP_MARKERS[g]), classes.describe(g))
            for g, members in classes.groups.items()
        ]
    order = [k for k in classes.order if k in present]
    return [
        (
            np.arange(len(classes)) == k,
            dict(color=PALETTE[i % len(PALETTE)], marker=_MARKERS[i // len(PALETTE)]),
            f'{classes.names[k]} ({classes.counts[k]:,})',
        )
        for i, k in enumerate(order)
    ]


def _grid(heading: str, title: str, models: Mapping, columns: int | None) -> tuple[Figure, list]:
    """A figure with an axes for each model, called by its name."""
    number = len(models)
    if columns is None:
        columns = math.ceil(number / math.ceil(number / MOST_COLUMNS))
    if not isinstance(columns, int) or columns < 1:
        raise ValueError(f'columns must be an integer >= 1, got {columns!r}')
    columns = min(columns, number)
    rows = math.ceil(number / columns)
    fig = new_figure(heading, title, (_CELL * columns + 1.4, (_CELL + 0.3) * rows + 0.9))
    places = [fig.add_subplot(rows, columns, i + 1) for i in range(number)]
    for axes, name in zip(places, models):
        axes.set_title(name)
    return fig, places
