"""Whether a model is right as often as it says."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure

from mmlt.functional.calibration import calibration_errors
from mmlt.visualization.inputs import as_values
from mmlt.visualization.style import (
    BLUE,
    VERMILION,
    legend_below,
    new_figure,
    percent_axis,
    plain_numbers,
    style,
)


@style()
def draw_reliability(bins: Mapping, title: str = '') -> Figure:
    """Draw a reliability diagram: the accuracy of each bin, its gap, and the samples in it.

    The gap of a bin lies between its accuracy and its mean confidence; it is what the calibration
    errors sum. The heading has the expected calibration error.

    Args:
        bins: 'count' (B,), 'confidence' and 'accuracy' (B,) as fractions, NaN or None for an empty
            bin, 'edges' (B + 1,): as :func:`mmlt.functional.calibration.reliability_bins`,
            ``CalibrationError.bins['all']`` and its JSON file have them.
        title: Dataset and checkpoint; the line below the heading.

    Raises:
        ValueError: A missing key, shapes that do not fit, values outside [0, 1].

    Source:
        Guo et al. 2017, fig. 1.

    Example:
        >>> bins = dict(count=[0, 4], confidence=[None, 0.9], accuracy=[None, 0.5])
        >>> draw_reliability(dict(bins, edges=[0, 0.5, 1])).texts[0].get_text()
        'Reliability diagram: ECE 40.0 %'
    """
    count, confidence, accuracy, edges = _checked(bins)
    errors = calibration_errors(
        {'count': torch.tensor(count), 'confidence': torch.tensor(confidence),
         'accuracy': torch.tensor(accuracy)}
    )  # fmt: skip
    fig = new_figure(f'Reliability diagram: ECE {100 * errors["ece"]:.1f} %', title, (5.6, 6.4))
    top, bottom = fig.subplots(2, sharex=True, height_ratios=(3, 1))
    middles, widths = 100 * (edges[1:] + edges[:-1]) / 2, 100 * np.diff(edges)
    full = count > 0
    middles, widths = middles[full], widths[full]
    confidence, accuracy = 100 * confidence[full], 100 * accuracy[full]
    bars = top.bar(middles, accuracy, 0.92 * widths, color=BLUE, label='accuracy of the bin')
    gaps = top.bar(
        middles, confidence - accuracy, 0.6 * widths, accuracy, color='#F6CDB0',
        ec=VERMILION, hatch='///', label='gap: accuracy to mean confidence',
    )  # fmt: skip
    (diagonal,) = top.plot([0, 100], [0, 100], color='black', ls='--', lw=1.2, label='no gap')
    percent_axis(top, 'accuracy')
    top.set_xlim(0, 100)
    bottom.bar(middles, count[full], 0.92 * widths, color='#777777')
    bottom.set_yscale('log')
    plain_numbers(bottom.yaxis)
    bottom.set_ylim(0.5, 2 * max(count.max(), 1))
    bottom.set_xlabel('confidence (%)')
    bottom.set_ylabel('samples')
    bottom.grid(axis='y')
    legend_below(fig, [bars, gaps, diagonal])
    return fig


def _checked(bins: Mapping) -> tuple[np.ndarray, ...]:
    wanted = ('count', 'confidence', 'accuracy', 'edges')
    missing = [name for name in wanted if name not in bins]
    if missing:
        raise ValueError(f'bins must have {wanted}, missing are {missing}')
    edges = as_values(bins['edges'], (None,), "bins['edges']", 0, 1)
    shape = (len(edges) - 1,)
    count = as_values(bins['count'], shape, "bins['count']", 0)
    parts = (as_values(bins[key], shape, f"bins['{key}']", 0, 1) for key in wanted[1:3])
    return count, *parts, edges
