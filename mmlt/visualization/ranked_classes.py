"""The classes in the order in which pictures show them: most training images first."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mmlt.functional.shots import shot_groups
from mmlt.visualization.inputs import as_array
from mmlt.visualization.style import GROUP_COLORS, grow, plain_numbers, text_width

NAMED_CLASSES = 20  # with more of them, ticks are ranks and cells have no numbers


class RankedClasses:
    """Classes sorted by their training images; equal ones stay in label order.

    The class of rank r, from 1, is drawn around x = r.

    Args:
        class_counts: Training images of each class, (K,), >= 0.
        class_names: Name of each class. Defaults to None: the labels.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Attributes:
        counts (ndarray): (K,) int64, in label order.
        order (ndarray): (K,) labels, by rank.
        names (list[str]): in label order.
        spans (dict): group -> (start, stop), its ranks from 0.

    Raises:
        ValueError: bad counts or thresholds, or another number of names than of classes.

    Example:
        >>> classes = RankedClasses([5, 500, 50])
        >>> classes.order.tolist(), classes.spans
        ([1, 2, 0], {'many': (0, 1), 'medium': (1, 2), 'few': (2, 3)})
    """

    def __init__(
        self,
        class_counts,
        class_names: Sequence[str] | None = None,
        many: int = 100,
        few: int = 20,
    ):
        counts = torch.from_numpy(np.array(as_array(class_counts, 'class_counts')))
        groups = shot_groups(counts, many, few)
        self.counts = counts.long().numpy()
        self.order = np.argsort(-self.counts, kind='stable')
        self.limits = {'many': f'> {many}', 'medium': f'{few} to {many}', 'few': f'< {few}'}
        self.names = list(map(str, range(len(self)) if class_names is None else class_names))
        if len(self.names) != len(self):
            raise ValueError(
                f'class_names must have one name for each of {len(self)} classes, '
                f'got {len(self.names)}'
            )
        self.groups = {name: group.numpy() for name, group in groups.items()}
        self.spans, start = {}, 0
        for name, group in self.groups.items():
            self.spans[name] = (start, start + int(group.sum()))
            start = self.spans[name][1]

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def ranks(self) -> np.ndarray:
        """Where the classes are drawn, (K,), by rank."""
        return np.arange(1, len(self) + 1)

    def describe(self, group: str) -> str:
        """Name, limits and size of a group, for a legend."""
        return f'{group} ({self.limits[group]} images): {count_of(self.groups[group])}'

    def set_x_axis(self, axes: Axes) -> list[Artist]:
        """Set limits, ticks and label of the x axis; return the shades of the groups."""
        axes.set_xlim(0.5, len(self) + 0.5)
        self._set_ticks(axes.xaxis, axes.get_figure().get_figwidth() - 1)
        axes.set_xlabel('class, by rank in training images')
        for name, (start, stop) in self.spans.items():
            if stop > start:
                axes.axvspan(
                    start + 0.5, stop + 0.5, color=GROUP_COLORS[name], alpha=0.1, lw=0, zorder=0
                )
        return [
            Patch(color=GROUP_COLORS[name], alpha=0.3, lw=0, label=self.describe(name))
            for name in self.spans
        ]

    def set_matrix_axes(self, axes: Axes, row_label: str, column_label: str) -> None:
        """Set both axes of a matrix of classes, the class of rank 1 in the upper left corner."""
        size = len(self)
        axes.set(xlim=(0.5, size + 0.5), ylim=(size + 0.5, 0.5), aspect='equal')
        self._set_ticks(axes.xaxis, 4.2)
        self._set_ticks(axes.yaxis, np.inf)
        # The lines between the groups, and their names on the far sides.
        far = dict(color='#444444', fontsize=8.5, transform=axes.transAxes)
        for name, (start, stop) in self.spans.items():
            if 0 < start < size:
                axes.axhline(start + 0.5, color='white', lw=0.8)
                axes.axvline(start + 0.5, color='white', lw=0.8)
            if stop - start >= size / 12:
                middle = (start + stop) / 2 / size
                axes.text(middle, 1.01, name, ha='center', va='bottom', **far)
                axes.text(1.01, 1 - middle, name, va='center', rotation=270, **far)
        axes.set_xlabel(f'{column_label}, by rank in training images')
        axes.set_ylabel(f'{row_label}, by rank in training images')

    def _set_ticks(self, axis: Axis, room: float) -> None:
        if len(self) > NAMED_CLASSES:
            axis.set_major_locator(MaxNLocator(9, integer=True, steps=[1, 2, 5, 10]))
            plain_numbers(axis)
            return
        names = [self.names[k] for k in self.order]
        axis.set_ticks(self.ranks, names)
        axis.set_tick_params(length=0)
        widest = max(text_width(name, 9) for name in names)
        if widest > 0.9 * room / len(self):
            for label in axis.get_ticklabels():
                label.set(rotation=45, ha='right', rotation_mode='anchor')
            grow(axis.get_figure(), max(0, 0.7 * widest - 0.5))


def count_of(members: np.ndarray) -> str:
    """How many classes are members, in words."""
    number = int(np.sum(members))
    return f'{number:,} class' + ('' if number == 1 else 'es')


def moving_average(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over a centred window, NaN left out; at the ends the window is cut off.

    Args:
        values: (K,).
        window: odd, >= 1.

    Example:
        >>> moving_average(np.array([0.0, 3.0, np.nan, 9.0]), 3)
        array([1.5, 1.5, 6. , 9. ])
    """
    kernel = np.ones(window)
    known = ~np.isnan(values)
    half = window // 2
    sums, numbers = (
        np.convolve(np.pad(part.astype(float), half), kernel, 'valid')
        for part in (np.where(known, values, 0), known)
    )
    return np.divide(sums, numbers, out=np.full(len(values), np.nan), where=numbers > 0)


def window_of(num_classes: int) -> int:
    """Classes over which pictures average: about a twentieth of them, odd, at least 3."""
    return max(3, 2 * (num_classes // 40) + 1)
