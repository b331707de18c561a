"""Paths of a command line, and files of counts beside a config."""

import json

import pytest
from mmengine.config import Config

from mmlt.config_file import merge_options, paths_fault, read_config


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


# --- options ---------------------------------------------------------------------------------


def run_config() -> Config:
    return Config(
        dict(
            data_root='photos',
            train_cfg=dict(max_epochs=3),
            train_dataloader=dict(dataset=dict(dataset=dict(data_root='photos'))),
            default_hooks=dict(checkpoint=dict(type='SafeCheckpointHook', interval=1)),
        )
    )


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        ({'trian_cfg.max_epochs': 1}, "no 'trian_cfg', did you mean 'train_cfg'"),
        ({'optim_wraper.optimizer.lr': 0.5}, "no 'optim_wraper', did you mean 'optim_wrapper'"),
        ({'zzz': 1}, "--cfg-options zzz: there is no 'zzz'$"),
        ({'default_hooks.chekpoint.interval': 5}, "no hook 'chekpoint', did you mean 'checkpoint'"),
    ],
)
def test_a_key_that_nothing_reads_is_refused(options, match):
    cfg = run_config()
    with pytest.raises(ValueError, match=match):
        merge_options(cfg, options)
    assert cfg.to_dict() == run_config().to_dict()


def test_keys_of_a_run_are_merged_whether_the_config_has_them_or_not():
    cfg = run_config()
    merge_options(cfg, None)
    assert cfg.to_dict() == run_config().to_dict()
    options = {
        'train_cfg.max_epochs': 1,
        'load_from': 'a.pth',
        'auto_scale_lr.base_batch_size': 64,
        'activation_checkpointing': ['backbone'],
        'default_hooks.mine.type': 'EMAHook',
        'default_hooks.mine.momentum': 0.1,
    }
    merge_options(cfg, options)
    assert cfg.train_cfg.max_epochs == 1
    assert cfg.load_from == 'a.pth'
    assert cfg.default_hooks.mine == dict(type='EMAHook', momentum=0.1)


def test_a_variable_of_the_file_is_told_with_the_place_that_is_meant(messages):
    merge_options(run_config(), {'data_root': '/moved'})
    told = ''.join(messages())
    assert 'data_root is no setting of a run but a variable of the config file' in told
    assert 'such as train_dataloader.dataset.dataset.data_root' in told
