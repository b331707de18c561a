"""Features in two dimensions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmlt.visualization.inputs import as_array, as_labels, as_values
from mmlt.visualization.ranked_classes import NAMED_CLASSES, RankedClasses, count_of
from mmlt.visualization.style import (
    GROUP_COLORS,
    GROUP_MARKERS,
    PALETTE,
    legend_below,
    new_figure,
    style,
)

_MARKERS = 'o^s'


class Embedding(NamedTuple):
    """Points in the plane.

    Attributes:
        points (ndarray): (M, 2) float32.
        labels (ndarray): their classes, (M,) int64.
        index (ndarray): the rows of the features that they are, (M,) int64.
    """

    points: np.ndarray
    labels: np.ndarray
    index: np.ndarray


def embed_tsne(
    features,
    labels,
    class_counts,
    *,
    max_classes: int = 100,
    max_per_class: int = 100,
    perplexity: float = 30.0,
    max_iter: int = 1000,
    seed: int = 0,
) -> Embedding:
    """Bring features into the plane by scikit-learn's t-SNE, from their principal components.

    Time grows faster than the number of samples, so it is capped: of each class random ones are
    kept; of the classes those at even steps of the rank in training images, from the first to the
    last, so that all shot groups stay.

    Args:
        features: Features of all samples, D >= 2, (N, D).
        labels: True class of each sample, in [0, K), (N,).
        class_counts: Training images of each class, >= 0, (K,).
        max_classes: Classes kept, >= 1.
        max_per_class: Samples kept of each class, >= 1.
        perplexity: About how many neighbours a sample has, > 0; at most a third of the samples.
        max_iter: Steps of the optimisation, >= 250.
        seed: Of the draw and of t-SNE.

    Raises:
        ValueError: Shapes that do not fit, features that are not finite, fewer than 4 samples kept,
            a label outside [0, K), a cap below 1.
        TypeError: ``labels`` not integers.

    Source:
        van der Maaten and Hinton 2008. BCE3S, fig. 9. Distances between far clusters and their
        sizes mean little.

    Example:
        >>> features, labels = torch.randn(20, 8), torch.arange(20) % 2
        >>> embedding = embed_tsne(features, labels, [500, 5], max_per_class=6, max_iter=250)
        >>> embedding.points.shape, np.bincount(embedding.labels).tolist()
        ((12, 2), [6, 6])
    """
    # Imported here: it takes a second that the other pictures need not pay.
    from sklearn.manifold import TSNE

    classes = RankedClasses(class_counts)
    labels = as_labels(labels, len(classes))
    features = as_array(features, 'features')
    if features.ndim != 2 or len(features) != len(labels):
        wanted = f'({len(labels)}, D)'
        raise ValueError(f'features must have shape {wanted}, got {features.shape}')
    for name, value in (('max_classes', max_classes), ('max_per_class', max_per_class)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f'{name} must be an integer >= 1, got {value!r}')
    index = _choose(labels, classes, max_classes, max_per_class, seed)
    if len(index) < 4 or features.shape[1] < 2:
        raise ValueError(
            't-SNE needs at least 4 samples and features of width 2, kept are '
            f'{len(index)} samples of width {features.shape[1]}'
        )
    # Only what is kept is copied: all features may take gigabytes.
    chosen = as_values(features[index], (None, None), 'features')
    if np.isnan(chosen).any():
        raise ValueError('features must be finite, got NaN')
    tsne = TSNE(
        perplexity=min(perplexity, (len(index) - 1) / 3),
        max_iter=max_iter,
        init='pca',
        random_state=seed,
    )
    return Embedding(tsne.fit_transform(chosen.astype(np.float32)), labels[index], index)


@style()
def draw_embedding(
    points,
    labels,
    class_counts,
    title: str = '',
    *,
    method: str = 't-SNE',
    class_names: Sequence[str] | None = None,
    many: int = 100,
    few: int = 20,
) -> Figure:
    """Draw points in the plane: up to 20 classes each in its colour and marker, else by group.

    Args:
        points: (M, 2); as :func:`embed_tsne` returns them.
        labels: Class of each point, in [0, K), (M,).
        class_counts: Training images of each class, >= 0, (K,).
        title: Dataset and checkpoint; the line below the heading.
        method: What made the points, for heading and axes.
        class_names: Name of each class, for the legend. Defaults to None: the labels.
        many: 'many' are the classes with more images than this.
        few: 'few' are the classes with fewer images than this.

    Raises:
        ValueError: Shapes that do not fit, a label outside [0, K), bad counts or thresholds.
        TypeError: ``labels`` not integers.

    Example:
        >>> fig = draw_embedding([[0, 1], [1, 0]], [0, 1], [500, 5], class_names=['cat', 'dog'])
        >>> [text.get_text() for text in fig.legends[0].texts]
        ['cat (500)', 'dog (5)']
    """
    classes = RankedClasses(class_counts, class_names, many, few)
    labels = as_labels(labels, len(classes))
    points = as_values(points, (len(labels), 2), 'points')
    present = [k for k in classes.order if (labels == k).any()]
    if len(present) <= NAMED_CLASSES:
        note = 'legend: class (training images)'
        marks = [
            (
                labels == k,
                dict(color=PALETTE[i % len(PALETTE)], marker=_MARKERS[i // len(PALETTE)]),
                f'{classes.names[k]} ({classes.counts[k]:,})',
            )
            for i, k in enumerate(present)
        ]
    else:
        note = f'{len(labels):,} samples of {len(present):,} classes'
        marks = [
            (
                members[labels],
                dict(color=GROUP_COLORS[group], marker=GROUP_MARKERS[group]),
                f'{group} ({classes.limits[group]} images): {count_of(members[present])}',
            )
            for group, members in classes.groups.items()
        ]
    fig = new_figure(
        f'{method} of the features', '; '.join(filter(None, (title, note))), (6.8, 6.4)
    )
    axes = fig.add_subplot()
    size, handles = 22 if len(labels) <= 1000 else 10, []
    for inside, mark, label in marks:
        axes.scatter(
            *points[inside].T, s=size, lw=0.3, ec='white', alpha=0.8, **mark,
            rasterized=len(labels) > 2000,
        )  # fmt: skip
        handles.append(Line2D([], [], ls='', ms=6, **mark, label=label))
    axes.set(xlabel=f'{method} 1 (no unit)', ylabel=f'{method} 2 (no unit)', aspect='equal')
    axes.set(xticks=[], yticks=[])
    axes.set_adjustable('datalim')
    legend_below(fig, handles)
    return fig


def _choose(
    labels: np.ndarray, classes: RankedClasses, max_classes: int, max_per_class: int, seed: int
) -> np.ndarray:
    """Positions of the samples that are kept, in their order."""
    present = [k for k in classes.order if (labels == k).any()]
    steps = np.linspace(0, len(present) - 1, min(max_classes, len(present)))
    random = np.random.RandomState(seed)
    kept = []
    for step in steps.round().astype(int):
        members = np.flatnonzero(labels == present[step])
        kept.append(random.permutation(members)[:max_per_class])
    return np.sort(np.concatenate(kept))
