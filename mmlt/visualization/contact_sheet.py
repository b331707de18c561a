"""Images side by side, each with its caption."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mmlt.visualization.inputs import as_array
from mmlt.visualization.style import new_figure, style

_CELL = 1.35  # inches


@style()
def draw_contact_sheet(
    images: Sequence,
    captions: Sequence[str],
    columns: int,
    heading: str = 'Images',
    title: str = '',
) -> Figure:
    """Draw images in a grid, row by row, small ones with their pixels visible.

    Args:
        images: Each (H, W, 3) RGB or (H, W) grey, uint8.
        captions: Text above each image; may have several lines.
        columns: Images in a row, >= 1.
        heading: What is shown.
        title: Dataset; the line below the heading.

    Raises:
        ValueError: No images, not a caption for each, another shape, ``columns`` below 1.
        TypeError: An image that is not uint8.

    Example:
        >>> fig = draw_contact_sheet([np.zeros((8, 8), np.uint8)] * 3, ['a', 'b', 'c'], columns=2)
        >>> [axes.get_title() for axes in fig.axes]
        ['a', 'b', 'c']
    """
    images = [as_array(image, 'images') for image in images]
    if not images or len(images) != len(captions):
        raise ValueError(
            f'captions must be one for each image, got {len(captions)} for {len(images)}'
        )
    if columns < 1:
        raise ValueError(f'columns must be at least 1, got {columns}')
    for image in images:
        if image.dtype != np.uint8:
            raise TypeError(f'images must be uint8, got {image.dtype}')
        if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
            raise ValueError(f'images must have shape (H, W, 3) or (H, W), got {image.shape}')
    rows = -(-len(images) // columns)
    lines = max(caption.count('\n') for caption in captions) + 1
    size = (_CELL * columns + 0.2, (_CELL + 0.15 * lines) * rows + 0.8)
    fig = new_figure(heading, title, size)
    grid = fig.add_gridspec(rows, columns)
    for place, image, caption in zip(grid, images, captions):
        axes = fig.add_subplot(place)
        axes.imshow(image, cmap='gray', vmin=0, vmax=255, interpolation='nearest')
        axes.set_title(caption, fontsize=7.5, pad=2)
        axes.set_axis_off()
    return fig
