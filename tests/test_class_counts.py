import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmlt.class_counts import load_class_counts, load_validation_counts


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
        ('missing/counts.json', FileNotFoundError, 'missing/counts.json.*mmlt count_classes'),
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


SHIFT = dict(ratio=50, direction='backward', max_count=100)


@pytest.mark.parametrize('name', ['imagenet-lt', 'cifar10-lt-if100', 'digits-lt-if50'])
def test_training_and_validation_part_add_up_to_the_base(name):
    base, spec = load_class_counts(name), dict(base=name, val_fraction=0.1)
    parts = zip(load_class_counts(spec), load_validation_counts(spec))
    assert [n + v for n, v in parts] == base
    assert load_validation_counts(name) == [0] * len(base)


def test_a_part_may_be_the_base_of_another():
    spec = dict(base=dict(base=[100, 40, 8], val_fraction=0.25), val_fraction=0.5)
    assert load_class_counts(spec) == [37, 15, 3]
    assert load_validation_counts(spec) == [38, 15, 3]
    shifted = dict(SHIFT, base=dict(base=[100, 40, 8], val_fraction=0.25))
    assert load_class_counts(shifted) == load_class_counts(dict(SHIFT, base=[75, 30, 6]))


def test_shifted_test_set_turns_the_benchmark_round():
    forward = load_class_counts(dict(SHIFT, base='cifar100-lt-if100', direction='forward'))
    assert load_class_counts(dict(SHIFT, base='cifar100-lt-if100')) == forward[::-1]
    assert (forward[0], forward[-1], len(forward)) == (100, 2, 100)
    assert load_validation_counts(dict(SHIFT, base='cifar100-lt-if100')) == [0] * 100


@pytest.mark.parametrize('in_base', [True, False])
def test_specs_are_read_from_configs_that_replace_a_name(in_base, tmp_path):
    (tmp_path / 'base.py').write_text("head = dict(class_counts='digits-lt-if50')" * in_base)
    (tmp_path / 'leaf.py').write_text(
        "_base_ = './base.py'\n"
        "counts = dict(_delete_=True, base='digits-lt-if50', val_fraction=0.2)\n"
        'head = dict(class_counts=counts)'
    )
    spec = Config.fromfile(tmp_path / 'leaf.py').head.class_counts
    assert load_class_counts(spec) == [91, 58, 38, 24, 16, 10, 6, 4, 2, 2]


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        (dict(base=[3, 4], val_fraction=0.1, seed=1), r"unknown are \['seed'\]"),
        (dict(base=[3, 4], val_fraction=0.1, part='val'), r"unknown are \['part'\]"),
        (dict(base=[3, 4], val_fraction=0.1, **SHIFT), 'either .* val_fraction .* or base, ratio'),
        (dict(base=[3, 4]), r"either the keys base and val_fraction .* got \['base'\]"),
        (dict(val_fraction=0.1), r"got \['val_fraction'\]"),
        (dict(base=[3, 4], ratio=2, max_count=9), r"got \['base', 'max_count', 'ratio'\]"),
        (dict(), r'got \[\]'),
        (dict(base=[3, 4], val_fraction=1.0), r'val_fraction must be in \(0, 1\), got 1.0'),
        (dict(base='svhn', val_fraction=0.1), "unknown class_counts 'svhn'"),
        (dict(SHIFT, base=[3, 0]), 'class 1 has 0 training images'),
        (dict(SHIFT, base=[3, 4], direction='up'), "direction must be one of .* got 'up'"),
    ],
)
@pytest.mark.parametrize('load', [load_class_counts, load_validation_counts])
def test_bad_dict_is_named(load, spec, message):
    with pytest.raises(ValueError, match=message):
        load(spec)
