"""How far the accuracies of the groups are known: the test images are a sample."""

from collections.abc import Sequence

import numpy as np

from mmlt.functional import shot_accuracy, shot_groups


def shot_intervals(
    predictions: Sequence[int],
    labels: Sequence[int],
    class_counts: Sequence[int],
    many: int = 100,
    few: int = 20,
    *,
    level: float = 95,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    r"""Bootstrap intervals of the groups' accuracies: the images of each class are drawn anew.

    .. math:: hits_k \sim Binomial(n_k, accuracy_k)

    which is drawing the n_k test images of class k with replacement. The classes are kept, so
    these intervals say what other test images of the same classes would change. What another
    training would change is the spread over seeds.

    Args:
        predictions (Sequence[int]): of each test image, (N,).
        labels (Sequence[int]): of each test image, (N,), in [0, K).
        class_counts (Sequence[int]): training images of each class, (K,).
        many, few (int): as in :class:`ShotAccuracy`.
        level (float): percent that the interval covers, in (0, 100). Defaults to 95.
        draws (int): >= 1. Defaults to 2000.
        seed (int): of the draws. Defaults to 0.

    Returns:
        dict[str, tuple]: (low, high) in percent for 'many', 'medium', 'few', 'all' and 'macro',
        as :class:`ShotAccuracy` has them; NaN where there are no images.

    Raises:
        ValueError: ``level`` or ``draws`` outside its range.

    Example:
        >>> low, high = shot_intervals([0] * 80 + [1] * 20, [0] * 100, [500])['many']
        >>> low < 80 < high
        True
    """
    if not 0 < level < 100:
        raise ValueError(f'level must be in (0, 100), got {level}')
    if draws < 1:
        raise ValueError(f'draws must be at least 1, got {draws}')
    labels = np.asarray(labels)
    fractions = shot_accuracy(np.asarray(predictions), labels, class_counts, many, few)
    tested = np.bincount(labels, minlength=len(class_counts))
    seen = tested > 0
    accuracy = np.nan_to_num(fractions['per_class'].numpy())
    hits = np.random.default_rng(seed).binomial(tested, accuracy, (draws, len(tested)))
    drawn = hits[:, seen] / tested[seen]
    parts = {name: np.asarray(group)[seen] for name, group in _groups(class_counts, many, few)}
    values = {
        name: drawn[:, part].mean(axis=1) if part.any() else np.full(1, np.nan)
        for name, part in parts.items()
    }
    values |= dict(all=hits.sum(axis=1) / tested.sum(), macro=drawn.mean(axis=1))
    tail = (100 - level) / 2
    return {
        name: tuple(100 * float(edge) for edge in np.percentile(value, [tail, 100 - tail]))
        for name, value in values.items()
    }


def _groups(class_counts, many, few):
    return shot_groups(class_counts, many, few).items()
