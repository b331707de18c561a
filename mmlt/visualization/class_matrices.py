"""Classes against classes: separability of the classifier, and what is taken for what."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure

from mmlt.visualization.inputs import as_array, as_labels
from mmlt.visualization.ranked_classes import NAMED_CLASSES, RankedClasses
from mmlt.visualization.style import NO_DATA, new_figure, style

MOST_CELLS = 1000  # a side; of more classes, blocks are shown
BLOCKS = 250
_SIZE = (6.8, 6.4)
_ARROWS = {
    (False, False): 'neither',
    (True, False): 'min',
    (False, True): 'max',
    (True, True): 'both',
}


@style()
def draw_separability_matrix(
    matrix,
    class_counts,
    title: str = '',
    *,
    class_names: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    many: int = 100,
    few: int = 20,
) -> Figure:
    """Draw how far each pair of classifier vectors stands apart: the brighter, the farther.

    Rows and columns run from the most frequent class to the rarest. The diagonal is 1 by
    definition and left grey. Of more than 1000 classes, means over blocks of classes are shown.

    Args:
        matrix: As :func:`mmlt.functional.geometry.separability_matrix` returns it, (K, K),
            fractions in [0, 1]; shown in percent. 50: at right angles, 100: opposite. NaN is grey.
        class_counts: Training images of each class, >= 0, (K,).
        title: Dataset and checkpoint; the line below the heading.
        class_names: Name of each class, shown up to 20 classes. Defaults to None: the labels.
        limits: Ends of the colour scale in percent, to compare models by. Defaults to None: all
            values but half a percent at either end; the colour bar then has arrows.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Raises:
        ValueError: Shapes that do not fit, a value outside [0, 1], bad limits, counts or
            thresholds.

    Source:
        BCE3S, eq. 36, fig. 8.

    Example:
        >>> fig = draw_separability_matrix(torch.eye(3) / 2 + 0.5, [500, 50, 5], 'CIFAR-10-LT')
        >>> fig.axes[0].images[0].get_array().shape, fig.axes[1].get_ylabel()
        ((3, 3), 'separability (%)')
    """
    classes = RankedClasses(class_counts, class_names, many, few)
    cells, size = _block_means(as_array(matrix, 'matrix'), classes)
    shown = cells[~np.isnan(cells)]
    if limits is None:
        low, high = np.percentile(shown, [0.5, 99.5]) if len(shown) else (0, 100)
        # All alike, as of a simplex: a scale needs a width.
        low, high = (low - 1, high + 1) if high - low < 1e-6 else (low, high)
    else:
        low, high = limits
        if not low < high:
            raise ValueError(f'limits must be (low, high) with low < high, got {limits}')
    return _draw_cells(
        'Separability of the classifier vectors', title, cells, size, classes,
        Normalize(low, high), 'separability (%)', ('class', 'class'),
    )  # fmt: skip


@style()
def draw_confusion_matrix(
    labels,
    predictions,
    class_counts,
    title: str = '',
    *,
    class_names: Sequence[str] | None = None,
    many: int = 100,
    few: int = 20,
) -> Figure:
    """Draw which part of the samples of each class is taken for which class, in percent.

    Rows and columns run from the most frequent class to the rarest. Up to 20 classes the numbers
    are in the cells; beyond, colours follow the square root, as most mistakes are rare. Of more
    than 250 classes, blocks are shown: what part of a block's classes, each weighing the same, is
    taken for any class of the other block. So a row sums to 100 in either case.

    Args:
        labels: True class of each sample, in [0, K), (N,).
        predictions: Predicted class of each sample, in [0, K), (N,).
        class_counts: Training images of each class, >= 0, (K,).
        title: Dataset and checkpoint; the line below the heading.
        class_names: Name of each class, shown up to 20 classes. Defaults to None: the labels.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Raises:
        ValueError: Shapes that do not fit, a class outside [0, K), bad counts or thresholds.
        TypeError: Labels or predictions that are not integers.

    Example:
        >>> fig = draw_confusion_matrix([0, 0, 1], [0, 1, 1], [500, 5], 'CIFAR-10-LT')
        >>> fig.axes[0].images[0].get_array().tolist()
        [[50.0, 50.0], [0.0, 100.0]]
    """
    classes = RankedClasses(class_counts, class_names, many, few)
    labels = as_labels(labels, len(classes))
    predictions = as_labels(predictions, len(classes), 'predictions')
    if labels.shape != predictions.shape:
        got = f'{labels.shape} and {predictions.shape}'
        raise ValueError(f'labels and predictions must have the same shape (N,), got {got}')
    size = -(-len(classes) // BLOCKS)  # sums lose nothing, and a diagonal of 1000 cells is unseen
    side = -(-len(classes) // size)
    block = np.empty(len(classes), dtype=np.int64)
    block[classes.order] = np.arange(len(classes)) // size
    tested = np.bincount(labels, minlength=len(classes))
    classes_tested = np.bincount(block[tested > 0], minlength=side)
    # Every class weighs the same in its block, however many samples it has.
    weights = 100 / (tested[labels] * classes_tested[block[labels]])
    pairs = block[labels] * side + block[predictions]
    cells = np.bincount(pairs, weights, minlength=side * side).reshape(side, side)
    cells = cells.clip(max=100.0)  # the weights of a row add to 100 up to rounding
    cells[classes_tested == 0] = np.nan
    numbered = len(classes) <= NAMED_CLASSES
    norm = Normalize(0, 100) if numbered else PowerNorm(0.5, 0, 100)
    fig = _draw_cells(
        'Confusion matrix', title, cells, size, classes, norm,
        "part of the true class's samples (%)", ('true class', 'predicted class'),
        what='sums',
    )  # fmt: skip
    if numbered:
        _write_numbers(fig, cells)
    return fig


def _block_means(matrix: np.ndarray, classes: RankedClasses) -> tuple[np.ndarray, int]:
    """Means over blocks of ranked classes, without the diagonal, in percent; and a block's side."""
    if matrix.shape != (len(classes),) * 2:
        raise ValueError(f'matrix must have shape {(len(classes),) * 2}, got {matrix.shape}')
    size = 1 if len(classes) <= MOST_CELLS else -(-len(classes) // BLOCKS)
    starts = np.arange(0, len(classes), size)
    sums, numbers = np.zeros((2, len(starts), len(starts)))
    for i, start in enumerate(starts):
        # A few rows at a time: of 8142 classes the whole would take half a gigabyte.
        labels = classes.order[start : start + size]
        rows = matrix[labels].astype(np.float64)
        outside = (rows < 0) | (rows > 1)
        if outside.any():
            raise ValueError(f'matrix must be in [0, 1], got {rows[outside][0]:g}')
        rows[np.arange(len(labels)), labels] = np.nan
        rows = rows[:, classes.order]
        known = ~np.isnan(rows)
        sums[i] = np.add.reduceat(np.where(known, rows, 0).sum(axis=0), starts)
        numbers[i] = np.add.reduceat(known.sum(axis=0), starts)
    means = np.divide(sums, numbers, out=np.full_like(sums, np.nan), where=numbers > 0)
    return 100 * means, size


def _draw_cells(
    heading, title, cells, size, classes, norm, label, axis_labels, what='means'
) -> Figure:
    """Draw the cells of blocks of ``size`` ranked classes, group borders and the colour bar."""
    note = f'{what} over blocks of {size} x {size} classes' if size > 1 else ''
    fig = new_figure(heading, '; '.join(filter(None, (title, note))), _SIZE)
    axes = fig.add_subplot()
    end = len(cells) * size + 0.5  # the last block may reach beyond the last class
    image = axes.imshow(
        np.ma.masked_invalid(cells),
        cmap=colormaps['viridis'].with_extremes(bad=NO_DATA),
        norm=norm,
        extent=(0.5, end, end, 0.5),
    )
    classes.set_matrix_axes(axes, *axis_labels)
    axes.spines[:].set_visible(False)
    # Asked of all cells at once: there may be none but NaN.
    beyond = (cells < norm.vmin).any(), (cells > norm.vmax).any()
    extend = _ARROWS[beyond]
    fig.colorbar(image, ax=axes, label=label, extend=extend, shrink=0.8, aspect=30)
    return fig


def _write_numbers(fig: Figure, cells: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(cells):
        if np.isnan(value):
            continue
        fig.axes[0].text(
            column + 1, row + 1, f'{value:.0f}', ha='center', va='center',
            size=9 if len(cells) <= 12 else 7, color='black' if value > 60 else 'white',
        )  # fmt: skip
