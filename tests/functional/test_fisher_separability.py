"""Fisher separability against the loop, and against every other direction."""

import pytest
import torch
from reference import dbm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from mmlt.functional.geometry import fisher_separability

K, D = 4, 3
LABELS = torch.tensor([3, 0, 0, 1, 2, 2, 2, 0, 3, 1, 0, 1, 3, 3])
COVARIANCES = ['class', 'shared']


def draw(seed, labels=LABELS):
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.randn(K, D, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(labels), D, generator=generator, dtype=torch.float64)
    return offsets[labels] + 0.5 * noise


def by_class(features, labels=LABELS):
    return [features[labels == k].tolist() for k in range(K)]


@pytest.mark.parametrize('ridge', [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize('seed', range(3))
def test_it_matches_the_loop(seed, ridge):
    features = draw(seed)
    wanted = [dbm.eq_13(by_class(features), k, ridge) for k in range(K)]
    got = fisher_separability(features, LABELS, K, ridge)
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64))


def test_no_direction_separates_two_classes_better():
    features = draw(0)
    first, second = (features[k == LABELS].tolist() for k in (0, 3))
    ridge = 1e-3
    absolute = ridge * dbm.mean_variance(first, second)
    pair = features[(LABELS == 0) | (LABELS == 3)]
    labels = (LABELS[(LABELS == 0) | (LABELS == 3)] == 3).long()
    best = fisher_separability(pair, labels, 2, ridge)[0].item()
    generator = torch.Generator().manual_seed(1)
    others = [
        dbm.eq_12(torch.randn(D, generator=generator).tolist(), first, second, absolute)
        for _ in range(500)
    ]
    assert 0.8 * best < max(others) <= best * (1 + 1e-12)


def test_two_equal_spreads_give_lda_its_direction():
    # Each class is one cloud, moved: the pair's covariance is LDA's.
    cloud = torch.randn(50, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = torch.cat([cloud, cloud + torch.tensor([1.0, -2.0, 0.5])])
    labels = torch.arange(2).repeat_interleave(50)
    lda = LinearDiscriminantAnalysis(solver='eigen').fit(features.numpy(), labels.numpy())
    direction = lda.coef_[0].tolist()
    wanted = dbm.eq_12(direction, features[:50].tolist(), features[50:].tolist())
    for covariance in COVARIANCES:
        got = fisher_separability(features, labels, 2, 1e-9, covariance)
        assert got.tolist() == pytest.approx([wanted] * 2, rel=1e-6)


def test_the_shared_covariance_is_that_of_all_samples_about_their_means():
    features = draw(0)
    means = torch.stack([features[k == LABELS].mean(dim=0) for k in range(K)])
    rows = features - means[LABELS]
    pair = 2 * rows.T @ rows / len(rows)
    pair = pair + 0.01 * pair.trace() / D * torch.eye(D)
    wanted = [
        sum((means[i] - means[j]) @ pair.inverse() @ (means[i] - means[j]) for j in range(K))
        for i in range(K)
    ]
    got = fisher_separability(features, LABELS, K, 0.01, 'shared')
    torch.testing.assert_close(got, torch.stack(wanted) / (K - 1))


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_turning_scaling_and_moving_all_features_changes_nothing(covariance):
    features = draw(0)
    turn = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(1)).double())
    moved = 100 * features @ turn.Q + 12
    got = fisher_separability(moved, LABELS, K, covariance=covariance)
    torch.testing.assert_close(got, fisher_separability(features, LABELS, K, covariance=covariance))


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_relabelling_the_classes_permutes_the_result(covariance):
    features, order = draw(0), torch.tensor([2, 0, 3, 1])
    got = fisher_separability(features, order.argsort()[LABELS], K, covariance=covariance)
    wanted = fisher_separability(features, LABELS, K, covariance=covariance)
    torch.testing.assert_close(got, wanted[order])


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_absent_classes_are_nan_and_change_nothing_else(covariance):
    features = draw(0)
    got = fisher_separability(features, 2 * LABELS, 2 * K, covariance=covariance)
    whole = fisher_separability(features, LABELS, K, covariance=covariance)
    torch.testing.assert_close(got[::2], whole)
    assert got[1::2].isnan().all()


def test_a_class_of_one_sample_has_no_variance_but_a_mean():
    features, labels = draw(0), torch.cat([LABELS, torch.tensor([4])])
    features = torch.cat([features, torch.ones(1, D)])
    own = fisher_separability(features, labels, K + 1)
    torch.testing.assert_close(own[:K], fisher_separability(features[:-1], LABELS, K))
    assert own[K].isnan()
    assert fisher_separability(features, labels, K + 1, covariance='shared').isfinite().all()


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_no_spread_is_infinitely_separable_and_one_class_not_at_all(covariance):
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    features = torch.tensor([[-1.0], [0.0], [1.0]]).repeat_interleave(2, 0)  # one on the centre
    got = fisher_separability(features, labels, 3, covariance=covariance)
    assert got.tolist() == [float('inf')] * 3
    for some in (features, features[:0]):
        alone = fisher_separability(some, 0 * labels[: len(some)], 3, covariance=covariance)
        assert alone.isnan().all()


@pytest.mark.parametrize('covariance', COVARIANCES)
def test_features_that_never_fire_do_not_count(covariance):
    features = draw(0)
    dead = torch.cat([features, torch.zeros(len(features), D)], dim=1)
    got = fisher_separability(dead, LABELS, K, 2e-3, covariance)
    # Half the mean variance, so half the ridge.
    torch.testing.assert_close(got, fisher_separability(features, LABELS, K, 1e-3, covariance))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(ridge=0), 'ridge must be > 0, got 0'),
        (dict(ridge=float('nan')), 'ridge must be > 0, got nan'),
        (dict(covariance='pair'), r"covariance must be one of \('class', 'shared'\), got 'pair'"),
        (dict(num_classes=3), r'labels must be in \[0, 3\), got .*\[0, 3\]'),
        (dict(features=draw(0) / 0), 'Fisher separability needs finite features'),
    ],
)
def test_bad_arguments_are_refused(options, message):
    arguments = dict(features=draw(0), labels=LABELS, num_classes=K) | options
    with pytest.raises(ValueError, match=message):
        fisher_separability(**arguments)
