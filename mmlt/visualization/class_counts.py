"""How long the tail is."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mmlt.visualization.ranked_classes import RankedClasses
from mmlt.visualization.style import (
    GROUP_COLORS,
    legend_below,
    new_figure,
    plain_numbers,
    style,
)

MOST_BARS = 100


@style()
def draw_class_counts(
    class_counts,
    title: str = '',
    *,
    class_names: Sequence[str] | None = None,
    many: int = 100,
    few: int = 20,
) -> Figure:
    """Draw the training images of each class, sorted, on a logarithmic scale.

    Args:
        class_counts: Training images of each class, >= 0, (K,).
        title: Dataset; the line below the heading.
        class_names: Name of each class, shown up to 20 classes. Defaults to None: the labels.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Raises:
        ValueError: Bad counts or thresholds, or another number of names than of classes.

    Example:
        >>> fig = draw_class_counts([5000, 500, 50, 5], 'CIFAR-10-LT')
        >>> fig.legends[0].texts[0].get_text()
        'many (> 100 images): 2 classes, 5,500 images'
    """
    classes = RankedClasses(class_counts, class_names, many, few)
    counts = classes.counts[classes.order]
    fig = new_figure('Training images of each class', title)
    axes = fig.add_subplot()
    classes.set_x_axis(axes)
    handles = []
    for name, (start, stop) in classes.spans.items():
        color, part = GROUP_COLORS[name], counts[start:stop]
        if len(classes) <= MOST_BARS:
            axes.bar(classes.ranks[start:stop], part, color=color)
        elif stop > start:
            # Thousands of bars are one outline.
            edges = np.arange(start, stop + 1) + 0.5
            axes.stairs(part, edges, baseline=0.5, fill=True, color=color)
        label = f'{classes.describe(name)}, {part.sum():,} images'
        handles.append(Patch(color=color, label=label))
    axes.set_yscale('log')
    axes.set_ylim(0.5, max(2 * counts[0], 2))
    plain_numbers(axes.yaxis)
    axes.set_ylabel('training images')
    axes.grid(axis='y')
    legend_below(fig, handles)
    return fig
