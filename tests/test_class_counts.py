import json

import numpy as np
import pytest
import torch

from mmlt.class_counts import load_class_counts


@pytest.mark.parametrize(
    ('name', 'classes', 'total', 'largest', 'smallest', 'groups'),
    [
        ('imagenet-lt', 1000, 115846, 1280, 5, (385, 479, 136)),
        ('inaturalist2018', 8142, 437513, 1000, 2, (842, 4076, 3224)),
        ('places-lt', 365, 62500, 4980, 5, (131, 163, 71)),
    ],
)
def test_benchmark_has_published_totals(name, classes, total, largest, smallest, groups):
    counts = load_class_counts(name)
    assert (len(counts), sum(counts), max(counts), min(counts)) == (
        classes,
        total,
        largest,
        smallest,
    )
    many = sum(n > 100 for n in counts)
    few = sum(n < 20 for n in counts)
    assert (many, classes - many - few, few) == groups


def test_shipped_files_are_the_official_ones(real_data):
    for name in ('imagenet_lt', 'inaturalist2018', 'places_lt'):
        official = json.loads((real_data / 'class_counts' / f'{name}.json').read_text())
        assert load_class_counts(name.replace('_', '-')) == official


@pytest.mark.parametrize(
    ('name', 'total'), [('cifar10-lt-if100', 12406), ('cifar100-lt-if100', 10847)]
)
def test_exponential_profile_has_known_total(name, total):
    assert sum(load_class_counts(name)) == total


def test_profiles_follow_the_formula_term_by_term():
    expected = [int(500 * (1 / 50) ** (k / 99)) for k in range(100)]
    assert load_class_counts('cifar100-lt-if50') == expected
    assert load_class_counts('digits-lt-if50') == [114, 73, 47, 30, 20, 12, 8, 5, 3, 2]
    assert load_class_counts('cifar10-lt-step-if100') == [5000] * 5 + [50] * 5


@pytest.mark.parametrize(
    'spec', [[5, 3, 1], (5, 3, 1), np.array([5, 3, 1]), torch.tensor([5, 3, 1])]
)
def test_sequences_become_plain_ints(spec):
    counts = load_class_counts(spec)
    assert counts == [5, 3, 1]
    assert all(type(n) is int for n in counts)


def test_reads_a_json_list(tmp_path):
    path = tmp_path / 'counts.json'
    path.write_text('[7, 2]')
    assert load_class_counts(path) == load_class_counts(str(path)) == [7, 2]


@pytest.mark.parametrize(
    ('spec', 'error', 'message'),
    [
        ('imagenet', ValueError, r"unknown class_counts 'imagenet'.*'imagenet-lt'.*places-lt"),
        ('svhn-lt-if10', ValueError, "unknown class_counts 'svhn-lt-if10'"),
        ('missing/counts.json', FileNotFoundError, 'missing/counts.json.*count_classes.py'),
        ([], ValueError, 'class_counts is empty'),
        ([3, 0], ValueError, 'class 1 has 0 training images'),
        ([-2, 3], ValueError, 'class 0 has -2'),
        ([3, 2.0], TypeError, 'class 1 has count 2.0 of type float'),
        ([True, 2], TypeError, 'class 0 has count True of type bool'),
        ([[1, 2]], TypeError, r'class 0 has count \[1, 2\]'),
        (torch.tensor([1.0, 2.0]), TypeError, 'class 0 has count 1.0'),
        (100, TypeError, 'got 100 of type int'),
        (None, TypeError, 'got None'),
    ],
)
def test_bad_spec_is_named(spec, error, message):
    with pytest.raises(error, match=message):
        load_class_counts(spec)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"a": 3}', 'one plain list.*got dict'),
        ('[1, 2', 'not valid JSON'),
        ('[4, 0]', 'class 1 has 0 training images'),
    ],
)
def test_bad_json_file_is_named(tmp_path, text, message):
    path = tmp_path / 'own.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'own.json.*{message}'):
        load_class_counts(path)
