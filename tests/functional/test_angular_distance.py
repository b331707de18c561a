"""Angles of features to the centres of their classes, and the class means among these."""

import pytest
import torch
from reference import bce3s, dbm

from mmlt.functional.geometry import angular_distance, class_means

K, D = 4, 3
LABELS = torch.tensor([3, 0, 0, 1, 2, 2, 2, 0, 3, 1, 0])


def draw(seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(LABELS), D, generator=generator, dtype=torch.float64)
    return features, torch.randn(K, D, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_angular_distance_matches_the_loop(dtype):
    features, centers = (part.to(dtype) for part in draw())
    got = angular_distance(features, LABELS, centers)
    pairs = zip(features.tolist(), centers[LABELS].tolist())
    wanted = [dbm.angle_to(x, center) for x, center in pairs]
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize('degrees', [0.0, 1e-9, 1e-5, 90.0, 180 - 1e-9, 180.0])
def test_angular_distance_is_exact_near_both_ends(degrees):
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    features = 1e3 * torch.stack([angle.cos(), angle.sin()])[None]
    got = angular_distance(features, torch.tensor([0]), torch.tensor([[1e-3, 0.0]]))
    assert got.item() == pytest.approx(degrees, rel=1e-9, abs=1e-12)


def test_vectors_without_a_direction_are_at_right_angles():
    features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    centers = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert angular_distance(features, torch.tensor([0, 1, 1]), centers).tolist() == [90] * 3


@pytest.mark.parametrize('scale', [1e-3, 7.0])
def test_turning_and_scaling_both_changes_nothing(scale):
    features, centers = draw()
    matrix = torch.randn(D, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    turn = torch.linalg.qr(matrix).Q
    got = angular_distance(scale * features @ turn, LABELS, centers @ turn)
    torch.testing.assert_close(got, angular_distance(features, LABELS, centers))


def test_relabelling_the_classes_changes_nothing():
    features, centers = draw()
    order = torch.tensor([2, 0, 3, 1])
    got = angular_distance(features, order.argsort()[LABELS], centers[order])
    torch.testing.assert_close(got, angular_distance(features, LABELS, centers))
    means = class_means(features, LABELS, K)
    torch.testing.assert_close(class_means(features, order.argsort()[LABELS], K), means[order])


def test_class_means_are_the_loops():
    features = draw()[0]
    got = class_means(features, LABELS, K + 1)
    wanted = [bce3s.mean_vector(features[k == LABELS].tolist()) for k in range(K)]
    torch.testing.assert_close(got[:K], torch.tensor(wanted, dtype=torch.float64))
    assert got[K].isnan().all()


@pytest.mark.parametrize(
    ('features', 'labels', 'centers', 'message'),
    [
        (torch.ones(3), [0, 1, 0], torch.ones(K, D), r'features must have shape \(N, D\)'),
        (torch.ones(2, D), [0, K], torch.ones(K, D), rf'labels must be in \[0, {K}\)'),
        (torch.ones(2, D), [0, 1], torch.ones(K, 7), r'centers must have shape \(K, 3\), .*7\)'),
        (torch.ones(2, D), [0, 1], torch.ones(D), r'centers must have shape \(K, 3\), got \(3,\)'),
    ],
)
def test_bad_centers_are_refused(features, labels, centers, message):
    with pytest.raises(ValueError, match=message):
        angular_distance(features, torch.tensor(labels), centers)
