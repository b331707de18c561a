"""Class counts, accuracies and curves over ranked classes."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection

from mmlt.class_counts import load_class_counts
from mmlt.functional import shot_groups
from mmlt.visualization import draw_class_accuracy, draw_class_counts, draw_class_curves, render
from mmlt.visualization.ranked_classes import RankedClasses, moving_average, window_of
from mmlt.visualization.style import GROUP_COLORS

BENCHMARKS = {10: 'cifar10-lt-if100', 100: 'cifar100-lt-if100', 8142: 'inaturalist2018'}
SIZES = sorted(BENCHMARKS)


def counts_of(num_classes, shuffled=True):
    counts = np.array(load_class_counts(BENCHMARKS[num_classes]))
    return np.random.RandomState(0).permutation(counts) if shuffled else counts


def legend(fig):
    return [text.get_text() for text in fig.legends[0].texts if text.get_text().strip()]


def group_sizes(counts):
    return {name: int(group.sum()) for name, group in shot_groups(counts).items()}


@pytest.mark.parametrize('num_classes', SIZES)
def test_class_counts_are_drawn_sorted(num_classes):
    counts = counts_of(num_classes)
    (axes,) = draw_class_counts(counts).axes
    if num_classes <= 100:
        bars = [bar for container in axes.containers for bar in container]
        heights = [bar.get_height() for bar in bars]
        assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx(
            range(1, num_classes + 1)
        )
    else:
        steps = [patch.get_data() for patch in axes.patches if hasattr(patch, 'get_data')]
        heights = np.concatenate([step.values for step in steps])
        assert len(steps) == 3
    assert list(heights) == sorted(counts, reverse=True)
    assert axes.get_yscale() == 'log'
    assert axes.get_ylabel() == 'training images'
    assert axes.get_xlabel() == 'class, by rank in training images'


@pytest.mark.parametrize('num_classes', SIZES)
def test_legend_of_class_counts_has_classes_and_images_of_the_groups(num_classes):
    counts = counts_of(num_classes)
    entries = legend(draw_class_counts(counts))
    assert len(entries) == 3
    for entry, (name, group) in zip(entries, shot_groups(counts).items()):
        number, images = int(group.sum()), int(counts[group.numpy()].sum())
        assert entry.startswith(f'{name} (')
        assert entry.endswith(f': {number:,} classes, {images:,} images')


@pytest.mark.parametrize('num_classes', SIZES)
def test_shades_cover_the_ranks_of_the_groups(num_classes):
    counts = counts_of(num_classes)
    (axes,) = draw_class_curves(np.zeros(num_classes), counts).axes
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == [size for size in group_sizes(counts).values() if size]
    assert axes.get_xlim() == (0.5, num_classes + 0.5)


@pytest.mark.parametrize('num_classes', SIZES)
def test_ticks_are_few_and_do_not_overlap(num_classes):
    names = [f'class number {k}' for k in range(num_classes)]
    fig = draw_class_counts(counts_of(num_classes, shuffled=False), class_names=names)
    render(fig, 'png')
    labels = [label for label in fig.axes[0].get_xticklabels() if label.get_text()]
    assert len(labels) <= 20
    if num_classes <= 20:
        assert [label.get_text() for label in labels] == names
        assert all(label.get_rotation() == 45 for label in labels)
    else:
        boxes = [label.get_window_extent() for label in labels]
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))
    assert fig.axes[0].get_window_extent().height > 1.5 * fig.dpi


def test_names_follow_the_rank():
    fig = draw_class_counts([5, 500, 50], class_names=['few', 'many', 'medium'])
    labels = [label.get_text() for label in fig.axes[0].get_xticklabels()]
    assert labels == ['many', 'medium', 'few']


@pytest.mark.parametrize('num_classes', SIZES)
def test_accuracy_of_one_model_has_points_line_and_group_means(num_classes):
    counts = counts_of(num_classes)
    accuracy = np.random.RandomState(1).uniform(0, 100, num_classes)
    accuracy[3] = np.nan
    fig = draw_class_accuracy(accuracy, counts)
    (axes,) = fig.axes
    points = [c for c in axes.collections if isinstance(c, PathCollection)]
    sizes = group_sizes(counts)
    assert [len(c.get_offsets()) for c in points] == list(sizes.values())
    drawn = np.concatenate([np.ma.getdata(c.get_offsets()) for c in points])
    order = np.argsort(-counts, kind='stable')
    np.testing.assert_array_equal(drawn[:, 0], np.arange(1, num_classes + 1))
    np.testing.assert_array_equal(drawn[:, 1], accuracy[order])
    means = [c.get_segments()[0][0, 1] for c in axes.collections if isinstance(c, LineCollection)]
    groups = shot_groups(counts)
    wanted = [np.nanmean(accuracy[groups[g].numpy()]) for g, size in sizes.items() if size]
    assert means == pytest.approx(wanted)
    (line,) = axes.lines
    window = window_of(num_classes)
    np.testing.assert_array_equal(line.get_ydata(), moving_average(accuracy[order], window))
    assert axes.get_ylabel() == 'accuracy (%)'
    assert f'moving average over {window} classes' in legend(fig)
    assert legend(fig)[0].endswith(f'mean {wanted[0]:.1f} %')


@pytest.mark.parametrize('num_classes', SIZES)
def test_accuracies_of_several_models_are_lines_only(num_classes):
    counts = counts_of(num_classes)
    models = {'CE': np.full(num_classes, 40.0), 'BCE3S': torch.full((num_classes,), 60.0)}
    fig = draw_class_accuracy(models, counts, 'CIFAR', window=5)
    (axes,) = fig.axes
    assert len(axes.lines) == 2
    assert not axes.collections
    assert legend(fig)[3:] == ['CE: mean 40.0 %', 'BCE3S: mean 60.0 %']
    assert fig.texts[1].get_text() == 'CIFAR; lines: moving average over 5 classes'


def test_few_classes_of_several_models_are_drawn_as_they_are():
    accuracy = np.array([0.0, 100.0, 50.0, np.nan, 20.0, 90.0])
    fig = draw_class_accuracy({'CE': accuracy, 'BCE3S': accuracy[::-1]}, [9, 8, 7, 6, 5, 4], 'six')
    lines = fig.axes[0].lines
    np.testing.assert_array_equal(lines[0].get_ydata(), accuracy)
    np.testing.assert_array_equal(lines[1].get_ydata(), accuracy[::-1])
    assert {line.get_marker() for line in lines} == {'o'}
    assert fig.texts[1].get_text() == 'six'
    models = {name: np.arange(21.0) for name in ('CE', 'BCE3S')}
    fig = draw_class_accuracy(models, np.arange(21, 0, -1))
    assert fig.texts[1].get_text() == 'lines: moving average over 3 classes'
    assert {line.get_marker() for line in fig.axes[0].lines} == {'None'}


@pytest.mark.parametrize('num_classes', SIZES)
def test_curves_have_mean_and_deviation_over_the_classes_that_have_a_value(num_classes):
    counts = counts_of(num_classes)
    random = np.random.RandomState(2)
    models = {name: random.uniform(50, 90, num_classes) for name in ('CE', 'CE3S', 'BCE3S')}
    for values in models.values():
        values[::4] = np.nan
    fig = draw_class_curves(models, counts, measure='classifier separability')
    (axes,) = fig.axes
    assert len(axes.lines) == 3
    assert axes.get_ylabel() == 'classifier separability (%)'
    assert fig.texts[0].get_text() == 'Classifier separability of each class'
    wanted = [f'{n}: {np.nanmean(v):.2f} ± {np.nanstd(v):.2f}' for n, v in models.items()]
    assert legend(fig)[3:] == wanted
    drawn = axes.lines[0].get_ydata()
    sorted_values = models['CE'][np.argsort(-counts, kind='stable')]
    if num_classes <= 200:
        np.testing.assert_array_equal(drawn, sorted_values)
    else:
        np.testing.assert_array_equal(drawn, moving_average(sorted_values, window_of(8142)))
        assert [len(c.get_offsets()) for c in axes.collections] == [num_classes] * 3
        assert all(c.get_rasterized() for c in axes.collections)


def test_a_measure_may_have_no_unit():
    fig = draw_class_curves([1.0, 2.0], [5, 4], measure='Fisher separability', unit='')
    assert fig.axes[0].get_ylabel() == 'Fisher separability'
    assert legend(fig)[-1] == '1.50 ± 0.50'


@pytest.mark.parametrize('draw', [draw_class_accuracy, draw_class_curves])
def test_no_value_at_all_is_drawn_as_nothing(draw):
    fig = draw([np.nan, np.nan], [500, 5])
    assert np.isnan(fig.axes[0].lines[0].get_ydata()).all()
    assert len(render(fig, 'png')) > 1000


def test_a_class_without_training_images_is_few():
    fig = draw_class_counts([500, 0])
    assert legend(fig)[2] == 'few (< 20 images): 1 class, 0 images'
    assert len(render(fig, 'png')) > 1000


@pytest.mark.parametrize('window', [1, 3, 7, 21])
def test_moving_average_matches_the_loop(window):
    values = np.random.RandomState(window).uniform(size=12)
    values[[2, 5, 6, 7]] = np.nan
    half = window // 2
    wanted = []
    for k in range(12):
        near = [v for v in values[max(0, k - half) : k + half + 1] if v == v]
        wanted.append(sum(near) / len(near) if near else np.nan)
    np.testing.assert_allclose(moving_average(values, window), wanted)


def test_equal_counts_stay_in_label_order_and_every_group_has_its_colour():
    classes = RankedClasses([50, 50, 500, 50])
    assert classes.order.tolist() == [2, 0, 1, 3]
    assert list(GROUP_COLORS) == list(classes.spans)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: draw_class_counts([]), r'class_counts must have shape \(K,\)'),
        (lambda: draw_class_counts([5, -1]), 'class_counts must be at least 0'),
        (lambda: draw_class_counts([5], many=10, few=20), 'few must not exceed many'),
        (lambda: draw_class_counts([5], class_names=['a', 'b']), 'one name for each of 1 classes'),
        (lambda: draw_class_accuracy([1, 2], [5]), r'accuracy must have shape \(1\), got \(2,\)'),
        (lambda: draw_class_accuracy([101], [5]), r'accuracy must be in \[0, 100\], got 101'),
        (lambda: draw_class_accuracy([1], [5], window=2), 'window must be an odd integer'),
        (lambda: draw_class_accuracy({}, [5]), 'accuracy must have at least one model'),
        (lambda: draw_class_curves([np.inf], [5]), 'values must be finite or NaN'),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_text_is_no_array_of_numbers():
    with pytest.raises(TypeError, match='values must be an array of numbers'):
        draw_class_curves(['high'], [5])
