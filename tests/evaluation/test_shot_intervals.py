"""Bootstrap intervals against draws of single images, and what they must do."""

import math

import numpy as np
import pytest

from mmlt.evaluation import shot_intervals

COUNTS = [500, 200, 50, 5]


def sample(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), [40, 30, 20, 10])
    wrong = rng.random(100) < np.array([0.1, 0.3, 0.5, 0.8])[labels]
    return np.where(wrong, (labels + 1) % 4, labels), labels


def test_they_are_those_of_drawing_images_with_replacement():
    predictions, labels = sample()
    rng, drawn = np.random.default_rng(1), []
    right = [(predictions == labels)[labels == k] for k in range(4)]
    for _ in range(4000):
        per_class = [rng.choice(part, len(part)).mean() for part in right]
        drawn.append(100 * np.array([np.mean(per_class[:2]), per_class[3], np.mean(per_class)]))
    found = shot_intervals(predictions, labels, COUNTS)
    wanted = np.percentile(drawn, [2.5, 97.5], axis=0).T
    for name, edges in zip(('many', 'few', 'macro'), wanted):
        # An image of the few is 10 points; the edges fall between images.
        assert found[name] == pytest.approx(edges, abs=1.5 if name != 'few' else 10)


def test_more_images_are_known_better_and_a_level_widens():
    predictions, labels = sample()
    one = shot_intervals(predictions, labels, COUNTS)['all']
    ten = shot_intervals(np.tile(predictions, 10), np.tile(labels, 10), COUNTS)['all']
    wide = shot_intervals(predictions, labels, COUNTS, level=99)['all']
    assert ten[1] - ten[0] < 0.5 * (one[1] - one[0]) < 0.5 * (wide[1] - wide[0])


def test_a_group_without_images_is_nan_and_the_seed_repeats():
    predictions, labels = sample()
    seen = labels < 3
    found = shot_intervals(predictions[seen], labels[seen], COUNTS)
    assert all(map(math.isnan, found['few']))
    assert found['many'] == shot_intervals(predictions[seen], labels[seen], COUNTS)['many']


@pytest.mark.parametrize('options', [dict(level=0), dict(level=100), dict(draws=0)])
def test_arguments(options):
    with pytest.raises(ValueError, match=f'{next(iter(options))} must be'):
        shot_intervals([0], [0], [5], **options)
