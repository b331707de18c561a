"""Paths of a command line, and files of counts beside a config."""

import json

import pytest

from mmlt.config_file import paths_fault, read_config


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'sub/mine.py'
    path.parent.mkdir()
    path.write_text(
        "class_counts = 'counts.json'\n"
        "model = dict(head=dict(class_counts=class_counts, deep=[dict(class_counts='no.json')]))\n"
        "shifted = dict(target_class_counts=dict(base='counts.json', ratio=2))\n"
        "named = dict(class_counts='cifar10-lt-if100')\n"
    )
    return path


def test_counts_are_found_beside_the_config_from_anywhere(config, tmp_path, monkeypatch):
    counts = config.parent / 'counts.json'
    counts.write_text(json.dumps([3, 2]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'counts.json').write_text('[9]')  # of somebody else, who works here
    cfg = read_config('sub/mine.py')
    assert cfg.class_counts == cfg.model.head.class_counts == str(counts)
    assert cfg.shifted.target_class_counts.base == str(counts)
    assert cfg.named.class_counts == 'cifar10-lt-if100'
    assert cfg.model.head.deep[0].class_counts == 'no.json'  # is not there: left as it is


def test_counts_of_the_working_directory_stay(config):
    assert read_config(str(config)).class_counts == 'counts.json'


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['a.pth', 'b.py'], 'CONFIG comes before CHECKPOINT, got a.pth b.py'),
        (['a.pth', 'https://host/b.pth'], 'must be a config file (.py, .json, .yaml, .yml), got a'),
        (['no.py'], 'CONFIG no.py does not exist'),
        (['{}', '{}'], 'is a config file, expected a checkpoint'),
        (['{}', 'no.pth'], 'CHECKPOINT no.pth does not exist'),
        (['{}', 'https://host/b.pth'], ''),
        (['mmlt::bce3s/x.py'], ''),
        (['{}'], ''),
    ],
)
def test_what_is_wrong_with_the_paths_of_a_command(config, words, message):
    found = paths_fault(*(word.format(config) for word in words))
    assert message in found
    assert bool(found) == bool(message)
