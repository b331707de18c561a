"""Pictures of samples: angles, embeddings, reliability, contact sheets."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection, PolyCollection

from mmlt.evaluation import CalibrationError
from mmlt.functional.calibration import calibration_errors, reliability_bins
from mmlt.functional.geometry import angular_distance
from mmlt.visualization import (
    draw_angular_distances,
    draw_contact_sheet,
    draw_embedding,
    draw_reliability,
    embed_tsne,
    render,
)

SIZES = (10, 100, 8142)


def legend(fig):
    return [text.get_text() for text in fig.legends[0].texts if text.get_text().strip()]


def marks(fig, kind):
    return [c for c in fig.axes[0].collections if isinstance(c, kind)]


def samples_of(num_classes, number=3000):
    generator = torch.Generator().manual_seed(0)
    counts = torch.linspace(500, 1, num_classes).long()
    labels = torch.arange(number) % num_classes
    features = torch.randn(number, 4, generator=generator)
    return features, labels, counts


@pytest.mark.parametrize('num_classes', SIZES)
@pytest.mark.parametrize('models', [1, 3])
def test_one_violin_per_group_and_model_with_its_quartiles(num_classes, models):
    features, labels, counts = samples_of(num_classes, 9000)
    degrees = angular_distance(features, labels, torch.ones(num_classes, 4))
    degrees[0] = torch.nan
    distances = {f'model {m}': degrees / (m + 1) for m in range(models)}
    fig = draw_angular_distances(distances, labels, counts)
    assert len(marks(fig, PolyCollection)) == 3 * models
    quartiles = [s[0][1] for c in marks(fig, LineCollection) for s in c.get_segments()]
    many = degrees[(counts > 100)[labels] & ~degrees.isnan()]
    assert quartiles[:3] == pytest.approx(np.quantile(many, [0.25, 0.5, 0.75]))
    ticks = [label.get_text() for label in fig.axes[0].get_xticklabels()]
    assert ticks == (list(distances) * 3 if models > 1 else ['many', 'medium', 'few'])
    assert fig.axes[0].get_ylabel() == 'angle to the class centre (degrees)'
    assert f'{(counts > 100)[labels].sum():,} samples' in legend(fig)[0]


def test_correct_and_wrong_samples_are_the_halves_of_a_violin():
    labels = torch.tensor([0, 0, 0, 0, 1])
    degrees = torch.tensor([10.0, 20.0, 60.0, 80.0, 30.0])
    correct = torch.tensor([True, True, False, False, True])
    fig = draw_angular_distances({'DBM': degrees}, labels, [500, 5], correct=correct)
    left, right, few = [c.get_paths()[0].vertices for c in marks(fig, PolyCollection)]
    assert left[:, 0].max() == pytest.approx(0)
    assert right[:, 0].min() == pytest.approx(0)
    assert (left[:, 1].min(), left[:, 1].max()) == (10, 20)
    assert (right[:, 1].min(), right[:, 1].max()) == (60, 80)
    assert set(few[:, 1]) == {30}  # a single sample has no wrong half
    assert legend(fig)[-2:] == ['left half: classified correctly', 'right half: wrongly']
    assert len(render(fig, 'png')) > 1000


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (dict(distances=[181.0, 0.0]), ValueError, r'distances must be in \[0, 180\], got 181'),
        (dict(distances=[1.0]), ValueError, r'distances must have shape \(2\)'),
        (dict(labels=[0, 2]), ValueError, r'labels must be in \[0, 2\)'),
        (dict(correct=[1, 0]), TypeError, 'correct must be bool, got int64'),
        (dict(correct=[True]), ValueError, r'correct must have shape \(2,\), got \(1,\)'),
        (dict(correct={'CE': [True, True]}), ValueError, 'correct must have the models'),
    ],
)
def test_bad_angles_are_refused(change, error, message):
    good = dict(distances=[10.0, 20.0], labels=[0, 1], class_counts=[500, 5])
    with pytest.raises(error, match=message):
        draw_angular_distances(**good | change)


@pytest.mark.parametrize(('num_classes', 'classes', 'each'), [(10, 10, 6), (100, 30, 2)])
def test_tsne_keeps_as_many_samples_as_allowed_and_repeats_itself(num_classes, classes, each):
    features, labels, counts = samples_of(num_classes, 600)
    options = dict(max_classes=classes, max_per_class=each, max_iter=250)
    points, kept, index = embed_tsne(features, labels, counts, **options)
    assert points.shape == (classes * each, 2)
    assert np.isfinite(points).all()
    np.testing.assert_array_equal(kept, labels[index])
    numbers = np.bincount(kept, minlength=num_classes)
    assert set(numbers) <= {0, each}
    assert numbers[[0, -1]].tolist() == [each, each]  # from the most frequent to the rarest
    again = embed_tsne(features, labels, counts, **options)
    np.testing.assert_array_equal(points, again.points)
    np.testing.assert_array_equal(index, again.index)


def test_tsne_keeps_clusters_apart():
    _, labels, counts = samples_of(4, 80)
    labels = labels.numpy()
    features = 20 * np.eye(4)[labels] + np.random.RandomState(0).randn(80, 4)
    points = embed_tsne(features, labels, counts, perplexity=5, max_iter=500).points
    centers = np.stack([points[labels == k].mean(axis=0) for k in range(4)])
    nearest = np.linalg.norm(points[:, None] - centers, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, labels)


@pytest.mark.parametrize('num_classes', [2, 20, 21, 100, 8142])
def test_embedding_is_coloured_by_class_or_by_group(num_classes):
    features, labels, counts = samples_of(num_classes, 9000)
    names = [f'name {k}' for k in range(num_classes)]
    fig = draw_embedding(features[:, :2], labels, counts, class_names=names)
    parts = marks(fig, PathCollection)
    assert sum(len(part.get_offsets()) for part in parts) == 9000
    assert all(part.get_rasterized() for part in parts)
    looks = {(*part.get_facecolor()[0], len(part.get_paths()[0].vertices)) for part in parts}
    assert len(looks) == len(parts) == (num_classes if num_classes <= 20 else 3)
    assert len(legend(fig)) == len(parts)
    if num_classes <= 20:
        assert legend(fig)[0] == 'name 0 (500)'
    else:
        assert legend(fig)[0].startswith('many (> 100 images): ')
    assert fig.axes[0].get_xlabel() == 't-SNE 1 (no unit)'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(max_classes=0), 'max_classes must be an integer >= 1, got 0'),
        (dict(max_per_class=1.5), 'max_per_class must be an integer >= 1, got 1.5'),
        (dict(max_per_class=1), 'at least 4 samples .* 2 samples of width 3'),
        (dict(features=torch.ones(8, 1)), 'features of width 2'),
        (dict(features=torch.full((8, 3), torch.nan)), 'features must be finite, got NaN'),
        (dict(features=torch.ones(7, 3)), r'features must have shape \(8, D\), got \(7, 3\)'),
    ],
)
def test_bad_features_are_refused(change, message):
    good = dict(features=torch.ones(8, 3), labels=torch.arange(8) % 2, class_counts=[5, 4])
    with pytest.raises(ValueError, match=message):
        embed_tsne(**good | change)


def test_reliability_has_a_bar_a_gap_and_a_count_for_each_full_bin():
    confidence = torch.tensor([0.15, 0.55, 0.55, 0.95, 0.95, 0.95])
    correct = torch.tensor([True, False, True, True, True, False])
    bins = reliability_bins(confidence, correct, 10)
    fig = draw_reliability(bins, 'CIFAR')
    top, bottom = fig.axes
    accuracy, gaps = top.containers
    assert [bar.get_height() for bar in accuracy] == pytest.approx([100, 50, 200 / 3])
    ends = [gap.get_y() + gap.get_height() for gap in gaps]
    assert ends == pytest.approx([15, 55, 95])
    assert [gap.get_x() + gap.get_width() / 2 for gap in gaps] == pytest.approx([15, 55, 95])
    assert [bar.get_height() for bar in bottom.containers[0]] == [1, 2, 3]
    ece = 100 * calibration_errors(bins)['ece'].item()
    assert fig.texts[0].get_text() == f'Reliability diagram: ECE {ece:.1f} %'
    assert (top.get_ylabel(), bottom.get_ylabel()) == ('accuracy (%)', 'samples')
    assert bottom.get_xlabel() == 'confidence (%)'
    assert len(legend(fig)) == 3


def test_reliability_takes_the_bins_of_the_metric():
    metric = CalibrationError(class_counts=[500, 5])
    metric.process(None, [dict(pred_score=[0.75, 0.25], gt_label=[k]) for k in (0, 0, 0, 1)])
    metric.evaluate(size=4)
    assert 'ECE 0.0 %' in draw_reliability(metric.bins['all']).texts[0].get_text()
    assert 'ECE 75.0 %' in draw_reliability(metric.bins['few']).texts[0].get_text()
    assert 'ECE nan %' in draw_reliability(metric.bins['medium']).texts[0].get_text()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(accuracy=[2.0]), r"bins\['accuracy'\] must be in \[0, 1\]"),
        (dict(count=[1, 2]), r"bins\['count'\] must have shape \(1\)"),
    ],
)
def test_bad_bins_are_refused(change, message):
    good = dict(count=[1], confidence=[0.5], accuracy=[0.5], edges=[0, 1])
    with pytest.raises(ValueError, match=message):
        draw_reliability(good | change)
    with pytest.raises(ValueError, match=r"missing are \['edges'\]"):
        draw_reliability({key: good[key] for key in list(good)[:3]})


def test_contact_sheet_shows_each_image_with_its_caption():
    images = [np.full((4, 4, 3), value, np.uint8) for value in (0, 100, 255)]
    fig = draw_contact_sheet([*images, np.eye(4, dtype=np.uint8)], ['a', 'b\nc', 'd', 'e'], 3)
    assert [axes.get_title() for axes in fig.axes] == ['a', 'b\nc', 'd', 'e']
    np.testing.assert_array_equal(fig.axes[1].images[0].get_array(), images[1])
    assert fig.axes[3].images[0].get_clim() == (0, 255)


@pytest.mark.parametrize(
    ('images', 'captions', 'columns', 'error', 'message'),
    [
        ([], [], 1, ValueError, 'captions must be one for each image'),
        ([np.eye(2, dtype=np.uint8)], ['a', 'b'], 1, ValueError, 'got 2 for 1'),
        ([np.eye(2, dtype=np.uint8)], ['a'], 0, ValueError, 'columns must be at least 1'),
        ([np.eye(2)], ['a'], 1, TypeError, 'images must be uint8, got float64'),
        ([np.ones((3, 2, 2), np.uint8)], ['a'], 1, ValueError, r'shape \(H, W, 3\)'),
    ],
)
def test_bad_images_are_refused(images, captions, columns, error, message):
    with pytest.raises(error, match=message):
        draw_contact_sheet(images, captions, columns)
