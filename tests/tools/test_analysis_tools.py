"""Contact sheets of what the network sees, and training curves from the logs of runs."""

import importlib
import json
import re
import sys

import commands
import cv2
import numpy as np
import pytest
from commands import ROOT
from mmengine.config import Config
from PIL import Image

from mmlt.datasets import DigitsLT

FOLDER = ROOT / 'tools' / 'analysis_tools'
DIGITS = str(ROOT / 'configs' / 'bce3s' / 'resnet20_digits-lt.py')


@pytest.fixture
def tool(monkeypatch):
    """A tool's module, by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def command(name, *words):
    return commands.command(sys.executable, FOLDER / f'{name}.py', *words)


def digits_config(**dataset):
    cfg = Config.fromfile(DIGITS)
    cfg.train_dataloader.dataset.merge(dataset)
    return cfg


def split_views(images, views):
    return images.reshape(views, -1, *images.shape[1:])


def test_sheets_of_the_digits_are_written_once_the_same(tmp_path):
    options = ['--num', '20', '--cfg-options', 'data_preprocessor.alpha=2.0']
    for out in ('a', 'b'):
        result = command('browse_dataset', DIGITS, '--out', tmp_path / out, *options)
        assert result.returncode == 0, result.stderr
    # 20 images of 3 views are 10 rows of 6; a sheet has 8.
    names = ['train_0.png', 'train_0.svg', 'train_1.png', 'train_1.svg']
    assert sorted(path.name for path in (tmp_path / 'a').iterdir()) == names
    assert result.stdout.count('written') == 4
    for name in names:
        content = (tmp_path / 'a' / name).read_bytes()
        assert content == (tmp_path / 'b' / name).read_bytes()
    with Image.open(tmp_path / 'a' / 'train_0.png') as image:
        assert image.width > 1000


def test_test_images_are_shown_as_they_are_in_the_dataset(tool):
    images, captions, views = tool('browse_dataset').load_views(digits_config(), 'test', 24, 0)
    assert views == 1
    data = {
        info['img'].tobytes(): info['gt_label']
        for info in map(DigitsLT('test').get_data_info, range(600))
    }
    assert [data[image.tobytes()] for image in images] == [int(text) for text in captions]
    assert len(set(captions)) > 5  # drawn at random, not class by class


def test_mixed_views_name_their_labels_and_weights(tool):
    images, captions, views = tool('browse_dataset').load_views(digits_config(), 'train', 32, 0)
    assert views == 3
    plain, mixup, cutmix = split_views(images.astype(float), 3)
    lines = [[text.split('\n') for text in captions[i * 32 : (i + 1) * 32]] for i in range(3)]
    assert lines[0][4][0] == '5: plain'
    labels = [text[1] for text in lines[0]]
    mixed = 0
    for i, text in enumerate(lines[1]):
        assert text[0] == f'{i + 1}: mixup'
        assert text[1].split()[0] == labels[i]
        if len(text) == 2:  # the partner has the same label
            continue
        mixed += 1
        weights = [float(re.fullmatch(r'\d \((.*)\)', part)[1]) for part in text[1:]]
        assert sum(weights) == pytest.approx(1)
        partners = plain[[label == text[2][0] for label in labels]]
        distance = np.abs(weights[0] * plain[i] + weights[1] * partners - mixup[i])
        assert distance.max(axis=(1, 2, 3)).min() < 3  # weights have two digits
    assert mixed > 5
    for i in range(32):
        same = (cutmix[i] == plain[i]).all(axis=2)
        others = (cutmix[i] == plain).all(axis=3)
        assert any((same | other).all() for other in others)


def test_views_of_the_pipeline_are_shown(tool):
    views = [[dict(type='RandomFlip', prob=prob)] for prob in (0.0, 1.0)]
    pipeline = [
        dict(type='MultiView', num_views=[1, 1], transforms=views),
        dict(type='PackInputs'),
    ]
    cfg = digits_config(dataset=dict(pipeline=pipeline))
    cfg.data_preprocessor.views = 'pipeline'
    images, captions, number = tool('browse_dataset').load_views(cfg, 'train', 5, 0)
    first, second = split_views(images, number)
    np.testing.assert_array_equal(first, second[:, :, ::-1])
    heads = [text.split('\n')[0] for text in captions]
    assert heads == [f'{i}: view {view}' for view in (0, 1) for i in range(1, 6)]
    assert captions[0].split('\n')[1] == captions[5].split('\n')[1]


def test_partners_of_the_dataset_are_mixed(tool):
    cfg = digits_config()
    cfg.train_dataloader.dataset = dict(
        type='MixPartnerDataset', dataset=cfg.train_dataloader.dataset
    )
    cfg.data_preprocessor.partner = 'weighted'
    images, captions, views = tool('browse_dataset').load_views(cfg, 'train', 4, 0)
    assert (len(images), len(captions), views) == (12, 12, 3)


@pytest.mark.parametrize('to_rgb', [True, False])
def test_files_are_shown_in_their_colours(tool, to_rgb, tmp_path):
    for name, bgr in dict(blue=(250, 0, 0), red=(0, 0, 250)).items():
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / 'a.png'), np.full((8, 8, 3), bgr, np.uint8))
    cfg = digits_config()
    cfg.test_dataloader.dataset = dict(
        type='CustomDataset',
        data_root=str(tmp_path),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
    cfg.data_preprocessor.update(to_rgb=to_rgb, mean=[10.0, 20.0, 30.0], std=[40.0, 50.0, 60.0])
    images, captions, _ = tool('browse_dataset').load_views(cfg, 'test', 2, 0)
    colours = dict(zip(captions, images[:, 0, 0].tolist()))
    assert colours == dict(blue=[0, 0, 250], red=[250, 0, 0])


def test_without_mean_images_are_shown_as_they_are(tool):
    cfg = digits_config()
    del cfg.data_preprocessor['mean'], cfg.data_preprocessor['std']
    images, _, _ = tool('browse_dataset').load_views(cfg, 'train', 4, 0)
    assert images.dtype == np.uint8
    assert images.max() > 200


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--num', '0'], '--num must be at least 1, got 0'),
        (['--split', 'val', '--cfg-options', 'val_dataloader=None'], 'has no val_dataloader'),
    ],
)
def test_bad_options_of_the_sheets_are_refused(tool, words, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tool('browse_dataset').main([DIGITS, '--out', str(tmp_path), *words])
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def write_log(work_dir, *losses):
    path = work_dir / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    lines = [dict(loss=loss, epoch=i, iter=i, step=i) for i, loss in enumerate(losses, start=1)]
    lines.append({'shot/all': 30.0, 'shot/few': float('nan'), 'step': len(losses)})
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return work_dir


def test_curves_of_one_and_of_several_runs_are_written(tool, tmp_path, capsys):
    runs = [str(write_log(tmp_path / name / 'run', 3.0, 2.0)) for name in ('ce', 'bce3s')]
    main = tool('plot_training').main
    main([runs[0], '--out', str(tmp_path / 'one'), '--title', 'CIFAR'])
    main([*runs, '--out', str(tmp_path / 'two')])
    names = ['training_curves.png', 'training_curves.svg']
    for folder in ('one', 'two'):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == names
    assert 'CIFAR; run' in (tmp_path / 'one' / names[1]).read_text(encoding='utf-8')
    several = (tmp_path / 'two' / names[1]).read_text(encoding='utf-8')
    assert 'ce/run' in several
    assert 'bce3s/run' in several
    assert capsys.readouterr().out.count('written') == 4


@pytest.mark.parametrize('words', [['{0}/missing'], ['{0}/a', '{0}/a']])
def test_bad_work_dirs_end_in_one_line(words, tmp_path):
    write_log(tmp_path / 'a', 1.0)
    words = [word.format(tmp_path) for word in words]
    result = command('plot_training', *words, '--out', tmp_path / 'out')
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].startswith('error: ')
    assert 'Traceback' not in result.stderr
    assert not (tmp_path / 'out').exists()


def test_counts_of_one_name_have_pictures_of_their_own(tool, tmp_path, capsys):
    for folder, counts in (('a', [9, 3]), ('b', [5, 1])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'counts.json').write_text(json.dumps(counts))
    files = [str(tmp_path / folder / 'counts.json') for folder in 'ab']
    tool('plot_class_counts').main([*files, '--out', str(tmp_path / 'plots')])
    found = sorted(path.name for path in (tmp_path / 'plots').glob('*.png'))
    assert found == ['class_counts_a_counts.png', 'class_counts_b_counts.png']
    told = capsys.readouterr().out.splitlines()
    assert len(set(told)) == len(told) == 4
