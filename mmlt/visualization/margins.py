"""How large DBM's margins are."""

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmlt.functional import dbm_class_margin
from mmlt.visualization.style import (
    GROUP_COLORS,
    LINE_STYLES,
    legend_below,
    new_figure,
    style,
)


@style()
def draw_dbm_margins(
    class_counts,
    title: str = '',
    *,
    max_margin: float = 0.1,
    tau: float = 1.0,
    reference: str = 'min',
    instance_weight: float = 1.0,
) -> Figure:
    r"""Draw the margin of a hard sample against its angle, for a rare, a middle, a frequent class.

    .. math:: m_C + m_I = m_C \, (1 + \lambda (1 - \cos\theta_y) / 2)

    The class-wise part alone, which every sample has, is the horizontal line below each curve.

    Args:
        class_counts: Training images of each class, >= 1, (K,).
        title: Dataset; the line below the heading.
        max_margin: K in radians, in [0, pi].
        tau: Exponent of the class-wise margin, >= 0.
        reference: ``'min'`` or ``'last'``, see :func:`mmlt.functional.dbm_class_margin`.
        instance_weight: lambda, >= 0.

    Raises:
        ValueError: An argument outside its range, or a class without images.

    Source:
        DBM, eqs. 6 to 8, fig. 2.

    Example:
        >>> fig = draw_dbm_margins([500, 50, 5], 'CIFAR-100-LT')
        >>> [line.get_ydata()[-1].round(3).item() for line in fig.axes[0].lines[::2]]
        [0.002, 0.02, 0.2]
    """
    counts = torch.as_tensor(class_counts)
    margins = dbm_class_margin(counts, max_margin, tau, reference).tolist()
    order = sorted(range(len(margins)), key=lambda k: -int(counts[k]))
    shown = dict.fromkeys((order[0], order[len(order) // 2], order[-1]))
    angles = np.linspace(0, 180, 181)
    growth = 1 + instance_weight * (1 - np.cos(np.deg2rad(angles))) / 2
    fig = new_figure('Margin of a hard sample', title)
    axes, handles = fig.add_subplot(), []
    for k, color, line in zip(shown, GROUP_COLORS.values(), LINE_STYLES):
        label = f'class of {int(counts[k]):,} images'
        axes.plot(angles, margins[k] * growth, color=color, ls=line)
        axes.plot(angles, np.full_like(angles, margins[k]), color=color, lw=0.8, ls=line)
        handles.append(Line2D([], [], color=color, ls=line, label=label))
    thin = Line2D([], [], color='black', lw=0.8, label='class-wise margin alone')
    axes.set(
        xlabel='angle to the class vector (degrees)', ylabel='margin (radians)', xlim=(0, 180),
        ylim=(0, None), xticks=range(0, 181, 30),
    )  # fmt: skip
    axes.grid(axis='y')
    legend_below(fig, [*handles, thin], rows=2)
    return fig
