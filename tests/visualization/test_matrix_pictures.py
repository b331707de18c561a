"""Separability and confusion matrices, whole and in blocks."""

import numpy as np
import pytest
import torch

from mmlt.functional.geometry import separability_matrix
from mmlt.visualization import draw_confusion_matrix, draw_separability_matrix, render
from mmlt.visualization.style import NO_DATA

SIZES = (10, 100, 8142)


def counts_of(num_classes):
    return np.random.RandomState(0).permutation(np.arange(1, num_classes + 1))


def cells_of(fig):
    return np.ma.filled(fig.axes[0].images[0].get_array(), np.nan)


def block_means(matrix, counts, size):
    """Mean of the off-diagonal entries of each block, by a loop, in percent."""
    order = np.argsort(-counts, kind='stable')
    starts = range(0, len(counts), size)
    means = np.empty((len(starts), len(starts)))
    for i, row in enumerate(starts):
        for j, column in enumerate(starts):
            pairs = [(a, b) for a in order[row : row + size] for b in order[column : column + size]]
            entries = [matrix[a, b] for a, b in pairs if a != b and not np.isnan(matrix[a, b])]
            means[i, j] = 100 * np.mean(entries) if entries else np.nan
    return means


def confusion(labels, predictions, counts, size):
    """Mean over the tested classes of a block of the part that each block is predicted."""
    order = np.argsort(-counts, kind='stable')
    rank = {k: r for r, k in enumerate(order)}
    side = -(-len(counts) // size)
    rows = {}
    for label, prediction in zip(labels, predictions):
        row = rows.setdefault(label, np.zeros(side))
        row[rank[prediction] // size] += 1
    cells = np.full((side, side), np.nan)
    for i in range(side):
        members = [rows[k] / rows[k].sum() for k in rows if rank[k] // size == i]
        if members:
            cells[i] = 100 * np.mean(members, axis=0)
    return cells


@pytest.mark.parametrize('num_classes', [1, 10, 100])
def test_separability_is_ranked_and_in_percent_without_its_diagonal(num_classes):
    counts = counts_of(num_classes)
    matrix = separability_matrix(torch.randn(num_classes, 5))
    fig = draw_separability_matrix(matrix, counts)
    np.testing.assert_allclose(cells_of(fig), block_means(matrix.numpy(), counts, 1))
    assert [axes.get_ylabel() for axes in fig.axes] == [
        'class, by rank in training images',
        'separability (%)',
    ]


def test_separability_of_thousands_of_classes_is_shown_in_blocks_and_says_so():
    num_classes = 1003
    counts = counts_of(num_classes)
    matrix = np.random.RandomState(1).uniform(size=(num_classes, num_classes)).astype(np.float32)
    matrix[5] = np.nan
    fig = draw_separability_matrix(matrix, counts, 'ImageNet')
    np.testing.assert_allclose(cells_of(fig), block_means(matrix, counts, 5), rtol=1e-6)
    assert fig.texts[1].get_text() == 'ImageNet; means over blocks of 5 x 5 classes'
    assert fig.axes[0].get_xlim() == (0.5, 1003.5)
    # The last block has 3 classes, and reaches as far as one of 5.
    assert fig.axes[0].images[0].get_extent()[1] == 1005.5


def test_largest_benchmark_is_drawn():
    counts = counts_of(8142)
    matrix = np.full((8142, 8142), 0.5, dtype=np.float16)
    fig = draw_separability_matrix(matrix, counts)
    assert cells_of(fig).shape == (247, 247)
    assert np.all(cells_of(fig) == 50)
    assert len(render(fig, 'svg')) < 2e6


@pytest.mark.parametrize(
    ('limits', 'extend'),
    [((0, 100), 'neither'), ((30, 100), 'min'), ((0, 60), 'max'), ((30, 60), 'both')],
)
def test_colour_bar_has_arrows_where_values_lie_beyond(limits, extend):
    matrix = np.array([[1, 0.2, 0.5], [0.2, 1, 0.8], [0.5, 0.8, 1]])
    fig = draw_separability_matrix(matrix, [3, 2, 1], limits=limits)
    assert fig.axes[0].images[0].get_clim() == limits
    assert fig.axes[0].images[0].colorbar.extend == extend


@pytest.mark.parametrize('num_classes', [10, 20, 100, 251, 8142])
def test_confusion_matches_the_loop(num_classes):
    random = np.random.RandomState(num_classes)
    counts = counts_of(num_classes)
    labels = random.randint(1, num_classes, 4000)  # class 0 has no sample
    predictions = np.where(
        random.uniform(size=4000) < 0.5, labels, random.randint(num_classes, size=4000)
    )
    fig = draw_confusion_matrix(torch.tensor(labels), predictions, counts, 'CIFAR')
    size = {251: 2, 8142: 33}.get(num_classes, 1)
    cells = cells_of(fig)
    np.testing.assert_allclose(cells, confusion(labels, predictions, counts, size))
    sums = cells.sum(axis=1)
    np.testing.assert_allclose(sums[~np.isnan(sums)], 100)
    assert np.isnan(sums).sum() == (size == 1)
    assert ('sums over blocks' in fig.texts[1].get_text()) == (size > 1)


@pytest.mark.parametrize(('num_classes', 'numbers'), [(2, 4), (20, 380), (21, 0), (300, 0)])
def test_numbers_are_in_the_cells_of_few_classes(num_classes, numbers):
    labels = np.arange(min(num_classes, 19))
    fig = draw_confusion_matrix(labels, labels, [5] * num_classes)
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert sum(text.isdigit() for text in texts) == numbers
    assert texts.count('100') == (len(labels) if numbers else 0)


def test_a_class_without_samples_is_grey():
    fig = draw_confusion_matrix([0], [0], [5, 4], class_names=['cat', 'dog'])
    assert np.isnan(cells_of(fig)[1]).all()
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ['cat', 'dog']
    image = fig.axes[0].images[0]
    assert np.allclose(image.cmap.get_bad()[:3], int(NO_DATA[1:3], 16) / 255)
    assert fig.axes[1].get_ylabel() == "part of the true class's samples (%)"


def test_borders_and_names_of_the_groups_are_shown():
    fig = draw_separability_matrix(np.eye(3), [500, 50, 5])
    assert [text.get_text() for text in fig.axes[0].texts] == [
        *['many'] * 2, *['medium'] * 2, *['few'] * 2,
    ]  # fmt: skip
    assert sorted(line.get_xdata()[0] for line in fig.axes[0].lines[1::2]) == [1.5, 2.5]


@pytest.mark.parametrize(
    ('matrix', 'options', 'message'),
    [
        (np.eye(3), {}, r'matrix must have shape \(2, 2\)'),
        (50 * np.ones((2, 2)), {}, r'matrix must be in \[0, 1\], got 50'),
        (np.eye(2), dict(limits=(9, 1)), 'limits must be .* got'),
    ],
)
def test_a_bad_separability_is_refused(matrix, options, message):
    with pytest.raises(ValueError, match=message):
        draw_separability_matrix(matrix, [5, 4], **options)


@pytest.mark.parametrize(
    ('labels', 'predictions', 'error', 'message'),
    [
        ([0, 1], [0], ValueError, 'must have the same shape'),
        ([0], [2], ValueError, r'predictions must be in \[0, 2\), got values in \[2, 2\]'),
        ([0.0], [1], TypeError, 'labels must be integer classes, got float64'),
        ([], [], ValueError, r'labels must have shape \(N,\) with N >= 1'),
    ],
)
def test_bad_predictions_are_refused(labels, predictions, error, message):
    with pytest.raises(error, match=message):
        draw_confusion_matrix(labels, predictions, [5, 4])
