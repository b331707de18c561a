"""One look for all pictures, and the way they are written to disk.

Figures are made without pyplot: nothing needs a display, and no state outlives a call. matplotlib's
settings are those of this file, whatever the user's own are, and are put back after each call.
"""

import io
import re
import textwrap
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from mmlt.files import write_whole

# Okabe and Ito's palette, which stays apart for colour-blind readers. Yellow is left out: on
# white paper it cannot be seen.
BLACK, ORANGE, SKY, GREEN = '#000000', '#E69F00', '#56B4E9', '#009E73'
BLUE, VERMILION, PURPLE = '#0072B2', '#D55E00', '#CC79A7'
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, BLACK)

# The shot groups look the same in every picture. The markers tell them apart without colour.
GROUP_COLORS = {'many': BLUE, 'medium': GREEN, 'few': VERMILION}
GROUP_MARKERS = {'many': 'o', 'medium': 's', 'few': '^'}
# Models take the other colours.
MODEL_COLORS = (BLACK, ORANGE, SKY, PURPLE)
LINE_STYLES = ('-', '--', ':', '-.')

NO_DATA = '#D9D9D9'
DPI = 150
HEADING_SIZE, TITLE_SIZE = 13, 9.5
_LINE = 1.35  # height of a line of text, in font sizes
_PAD = 6 / 72  # inches
_RC = {
    'font.family': ['DejaVu Sans'],  # matplotlib brings it along: the same on every machine
    'font.size': 9.5,
    'axes.titlesize': 10,
    'axes.labelsize': 10,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.axisbelow': True,
    'grid.color': '#DDDDDD',
    'grid.linewidth': 0.6,
    'legend.fontsize': 9,
    'legend.frameon': False,
    'lines.linewidth': 1.6,
    'xtick.labelsize': 9,
    'ytick.labelsize': 9,
    'savefig.facecolor': 'white',
    'text.parse_math': False,  # a class may be called $x$
    'svg.fonttype': 'none',
    'svg.hashsalt': 'mmlt',
}
_NO_METADATA = {
    'png': {'Software': None},
    'svg': dict.fromkeys(('Creator', 'Date', 'Format', 'Type')),
}


@contextmanager
def style():
    """Use the settings of this file, in a ``with`` block or as a decorator."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def new_figure(heading: str, title: str, size: tuple[float, float] = (7.2, 4.4)) -> Figure:
    """Return an empty figure that lays out its axes below a heading and a title.

    Args:
        heading: What is shown.
        title: Of which dataset and checkpoint; long ones are wrapped, '' takes no room.
        size: Width and height in inches.

    Example:
        >>> [text.get_text() for text in new_figure('Counts', 'CIFAR-100-LT').texts]
        ['Counts', 'CIFAR-100-LT']
    """
    width, height = size
    fig = Figure(figsize=size, dpi=DPI, layout='constrained')
    top = height - _PAD
    for text, fontsize, weight in ((heading, HEADING_SIZE, 'bold'), (title, TITLE_SIZE, 'normal')):
        if text:
            lines = _wrap(text, width - 2 * _PAD, fontsize, weight)
            where = _PAD / width, top / height
            fig.text(*where, '\n'.join(lines), va='top', size=fontsize, weight=weight)
            top -= len(lines) * fontsize * _LINE / 72
    fig.get_layout_engine().set(rect=(0, 0, 1, top / height), w_pad=0.06, h_pad=0.06)
    return fig


def grow(fig: Figure, inches: float) -> None:
    """Make a figure of :func:`new_figure` higher, for what would take the room of the axes."""
    old, new = fig.get_figheight(), fig.get_figheight() + inches
    layout = fig.get_layout_engine()
    *_, top = layout.get()['rect']
    layout.set(rect=(0, 0, 1, 1 - (1 - top) * old / new))
    for text in fig.texts:
        text.set_y(1 - (1 - text.get_position()[1]) * old / new)
    fig.set_figheight(new)


def text_width(text: str, fontsize: float, weight: str = 'normal') -> float:
    """Width of a line of text in inches.

    Example:
        >>> bool(text_width('wide', 9) > text_width('will', 9) > 0)
        True
    """
    font = get_font(findfont(FontProperties(family=_RC['font.family'], weight=weight)))
    fine = 1200  # dots per inch; of coarse ones, letters are as wide as their pixels
    font.set_size(fontsize, fine)
    font.set_text(text)
    return font.get_width_height()[0] / 64 / fine  # it counts in 64ths of a dot


def legend_below(fig: Figure, *parts: list[Artist], rows: int = 3) -> None:
    """Put a legend below the axes, where it hides no data; each part starts a column of its own.

    A column has at least so many rows. Parts that are too wide side by side share a column.
    """
    size = _RC['legend.fontsize']
    total = sum(map(len, parts))
    for length in range(rows, total):
        columns = [part[i : i + length] for part in parts for i in range(0, len(part), length)]
        widths = [max(text_width(h.get_label(), size) for h in column) for column in columns]
        # The mark of an entry and the gap to the next column take 0.65 inch.
        if sum(widths) + 0.65 * len(columns) <= fig.get_figwidth():
            break
    else:
        length, columns = total, [[handle for part in parts for handle in part]]
    grow(fig, 0.19 * max(0, length - 3))
    blank = Line2D([], [], ls='', label=' ')  # matplotlib fills columns evenly
    handles = [h for column in columns for h in column + [blank] * (length - len(column))]
    fig.legend(handles=handles, loc='outside lower center', ncols=len(columns))


def model_styles(names: list[str]) -> dict[str, dict]:
    """Colour and line style of each model.

    Raises:
        ValueError: More models than there are styles, 16.

    Example:
        >>> model_styles(['CE', 'BCE3S'])['BCE3S']
        {'color': '#E69F00', 'linestyle': '-'}
    """
    limit = len(MODEL_COLORS) * len(LINE_STYLES)
    if len(names) > limit:
        raise ValueError(f'at most {limit} models can be told apart, got {len(names)}')
    number = len(MODEL_COLORS)
    return {
        name: dict(color=MODEL_COLORS[i % number], linestyle=LINE_STYLES[i // number])
        for i, name in enumerate(names)
    }


def plain_numbers(axis: Axis) -> None:
    """Write the ticks of an axis as 10,000 rather than as a power of ten."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:,.0f}'))


def percent_axis(axes: Axes, label: str) -> None:
    """Label the y axis in percent, from 0 to 100 with a little room for marks on the edges."""
    axes.set_ylabel(f'{label} (%)')
    axes.set_ylim(-2, 102)
    axes.grid(axis='y')


@style()
def render(fig: Figure, file_format: str) -> bytes:
    """Return a figure as the bytes of a file; the same figure gives the same bytes.

    Its layout is made the first time; what is added later finds no room of its own.

    Args:
        fig: A figure of this package.
        file_format: 'png' (150 dpi) or 'svg' (text stays text, refers to nothing outside).

    Raises:
        ValueError: Another format.

    Example:
        >>> render(new_figure('Counts', ''), 'png')[1:4]
        b'PNG'
    """
    if file_format not in _NO_METADATA:
        raise ValueError(f"file_format must be 'png' or 'svg', got {file_format!r}")
    if fig.get_layout_engine() is not None:
        # Each layout starts from the last one: after the first, everything stays where it is.
        fig.draw_without_rendering()
        fig.set_layout_engine('none')
    buffer = io.BytesIO()
    fig.savefig(buffer, format=file_format, dpi='figure', metadata=_NO_METADATA[file_format])
    content = buffer.getvalue()
    if file_format == 'svg':
        # The document type names an address, and is in the way of a page that takes the SVG in.
        content = re.sub(rb'<!DOCTYPE[^>]*>\s*', b'', content, count=1)
    return content


def save_figure(fig: Figure, path: str | PathLike) -> tuple[Path, Path]:
    """Write ``path.png`` and ``path.svg``; missing folders are made.

    Args:
        fig: A figure of this package.
        path: Path without suffix.

    Returns:
        tuple[Path, Path]: the files.

    Raises:
        ValueError: ``path`` ends in one of the suffixes.

    Example:
        >>> save_figure(fig, 'report/class_counts')  # doctest: +SKIP
        (PosixPath('report/class_counts.png'), PosixPath('report/class_counts.svg'))
    """
    if str(path).lower().endswith(('.png', '.svg')):
        raise ValueError(f'path must have no suffix, both files are written: got {str(path)!r}')
    files = tuple(Path(f'{path}.{file_format}') for file_format in _NO_METADATA)
    for file in files:
        write_whole(file, render(fig, file.suffix[1:]))
    return files


def _wrap(text: str, room: float, fontsize: float, weight: str) -> list[str]:
    """Lines of a text that fit into so many inches."""
    whole = text_width(text, fontsize, weight)
    longest = min(len(text), int(len(text) * room / whole) + 5)
    lines = textwrap.wrap(text, longest)
    while longest > 1 and max(text_width(line, fontsize, weight) for line in lines) > room:
        longest -= 1
        lines = textwrap.wrap(text, longest)
    return lines
