"""From a folder of photos to a prediction: commands, mistakes, every method, any backbone."""

import contextlib
import csv
import io
import os
import re
import runpy
import shlex
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from commands import ROOT, command
from mmengine.config import Config
from mmpretrain.registry import MODELS
from PIL import Image

import mmlt  # noqa: F401
from mmlt.__main__ import tools
from mmlt.engine.backbones import find_backbone
from mmlt.engine.new_config import METHODS, config_text

NAMES = ['ant', 'bee', 'cat dog']
RUNTIME = (ROOT / 'configs/_base_/default_runtime.py').read_text()


def tool(name, *words):
    """Run a tool: those that train and test in a process of their own, the others, fast, here."""
    if name in ('train', 'test'):
        return command(sys.executable, f'tools/{name}.py', *words)
    out, err, code = io.StringIO(), io.StringIO(), 0
    path, argv = sys.path[:], sys.argv[:]
    script = ROOT / f'tools/{name}.py'
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(word) for word in (script, *words)]
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(script), run_name='__main__')
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            print('' if isinstance(end.code, int | None) else end.code, file=err)
        finally:
            sys.path[:], sys.argv[:] = path, argv
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Photos, split, with a config that was trained."""
    root = tmp_path_factory.mktemp('own')
    rng = np.random.RandomState(0)
    for k, (name, number) in enumerate(zip(NAMES, (20, 12, 8))):
        (root / 'photos' / name).mkdir(parents=True)
        for i in range(number):
            pixels = rng.randint(0, 60, (40, 50, 3), np.uint8)
            pixels[..., k] += 150
            Image.fromarray(pixels).save(root / 'photos' / name / f'{i}.png')
    split = tool('dataset_converters/split_folder', root / 'photos', '--out', root / 'data/mine',
                 '--test-per-class', 3, '--val-fraction', 0.2, '--check-images')  # fmt: skip
    assert split.returncode == 0, split.stderr
    new = tool('new_config', root / 'data/mine', '--method', 'dbm-bs', '--backbone', 'CifarResNet',
               '--backbone-options', 'depth=20', '--size', 32, '--epochs', 3, '--rate', 0.02,
               '--out', root / 'mine.py')  # fmt: skip
    assert new.returncode == 0, new.stderr
    quick = [f'{name}_dataloader.{key}' for name in ('train', 'val', 'test')
             for key in ('num_workers=0', 'persistent_workers=False')]  # fmt: skip
    train = tool('train', root / 'mine.py', '--work-dir', root / 'run', '--cfg-options', *quick)
    assert train.returncode == 0, train.stdout + train.stderr
    assert 'validated on PhotoFolder, split val' in train.stdout
    (root / 'console.txt').write_text(train.stdout)
    return root


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / 'copy')


def test_the_config_is_one_that_a_person_can_read(folder):
    text = (folder / 'mine.py').read_text()
    assert max(map(len, text.splitlines())) <= 100
    assert 'fileDirname' in text
    assert str(folder) not in text
    cfg = Config.fromfile(folder / 'mine.py')
    assert cfg.model.head.in_channels == 64
    assert cfg.model.neck.type == 'GlobalAveragePooling'
    assert cfg.optim_wrapper.optimizer.lr == 0.02


def test_the_console_has_a_screen_and_the_log_file_all(folder):
    console = (folder / 'console.txt').read_text()
    assert len(console.splitlines()) < 20
    (path,) = (folder / 'run').glob('*/*.log')
    log = path.read_text()
    assert str(path) in console
    for text in ('Config:', 'Exp name', 'Saving checkpoint at 3', 'Hooks will be', 'environment:'):
        assert text in log
        assert text not in console
    for epoch in (1, 2, 3):
        line = next(line for line in log.splitlines() if f'Epoch(train) [{epoch}]' in line)
        assert line[30:] in console  # without the date, which is shorter there


def test_check_says_ok(folder):
    found = tool('check', folder / 'mine.py', folder / 'run/epoch_3.pth')
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.splitlines()[-1] == 'OK'
    for text in ('3 classes', 'BalancedSoftmaxLoss and DBMMargin', 'it fits, epoch 3', 'MiB'):
        assert text in found.stdout
    assert not (ROOT / 'work_dirs/mine').exists()


def test_predict_names_what_the_test_names(folder, tmp_path):
    # Without the training images and the file of counts, as on another machine.
    out = tmp_path / 'new/predictions.csv'
    data = shutil.move(folder / 'data', tmp_path / 'gone')
    try:
        shutil.copytree(f'{data}/mine/test', tmp_path / 'photos')
        found = tool('predict', folder / 'mine.py', folder / 'run/epoch_3.pth', tmp_path / 'photos',
                     '--topk', 3, '--out', out)  # fmt: skip
    finally:
        shutil.move(data, folder / 'data')
    assert found.returncode == 0, found.stderr
    with open(out, newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    for row in rows:
        scores = [float(row[f'score_{k}']) for k in (1, 2, 3)]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-3)
        assert sorted(row[f'class_{k}'] for k in (1, 2, 3)) == NAMES
    right = np.mean([row['class_1'] == row['image'].split('/')[-2] for row in rows]) * 100
    tested = tool('test', folder / 'mine.py', folder / 'run/epoch_3.pth', '--work-dir', tmp_path)
    accuracy = tested.stdout.splitlines()[-1].split()[-4]
    assert float(accuracy) == pytest.approx(right, abs=0.01), tested.stdout


def test_predict_prints_a_table_and_nothing_else(folder):
    words = [folder / 'mine.py', folder / 'run/epoch_3.pth', folder / 'photos', '--topk', 2]
    found = command(sys.executable, 'tools/predict.py', *words)
    assert found.returncode == 0, found.stderr
    head, *rows = csv.reader(io.StringIO(found.stdout))
    assert head == ['image', 'class_1', 'score_1', 'class_2', 'score_2']
    assert [len(row) for row in rows] == [5] * 40
    assert {row[1] for row in rows} <= set(NAMES)
    assert 'Loads checkpoint' in found.stderr


@pytest.mark.parametrize('mode', ['L', 'CMYK', 'P', 'RGBA', '1'])
def test_predict_takes_any_colour_mode(folder, tmp_path, mode):
    suffix = 'jpg' if mode == 'CMYK' else 'png'
    image = Image.open(folder / 'photos/ant/0.png').convert(mode)
    image.save(tmp_path / f'a.{suffix}')
    found = tool(
        'predict', folder / 'mine.py', folder / 'run/epoch_3.pth', tmp_path / f'a.{suffix}'
    )
    assert found.returncode == 0, found.stderr
    assert f'a.{suffix},' in found.stdout


def test_one_broken_image_does_not_end_the_others(folder, tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'')
    shutil.copy(folder / 'photos/ant/0.png', tmp_path / 'b.png')
    found = tool('predict', folder / 'mine.py', folder / 'run/epoch_3.pth', tmp_path)
    assert found.returncode == 1
    assert 'b.png,' in found.stdout
    assert re.search(r'skipped .*a.jpg: 0 bytes', found.stderr)
    assert 'error: 1 of 2 images could not be read' in found.stderr


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('RUN', 'CONFIG', 'IMAGE'), 'CONFIG comes before CHECKPOINT'),
        (('CONFIG', 'no.pth', 'IMAGE'), 'CHECKPOINT no.pth does not exist'),
        (('CONFIG', 'RUN', 'no.jpg'), 'image no.jpg does not exist'),
        (('CONFIG', 'RUN', 'IMAGE', '--topk', '4'), 'topk must be 1 to 3, the classes, got 4'),
        (('CONFIG', 'RUN', 'IMAGE', '--out', 'a.txt'), '--out must end in .csv'),
        (('CONFIG', 'RUN', 'IMAGE', '--batch-size', '0'), 'batch_size must be at least 1'),
        (('CONFIG', 'RUN', 'EMPTY'), 'no images in'),
        (('CONFIG', 'RUN', 'IMAGE', '--device', 'gpu'), "device 'gpu'"),
        (('CONFIG', 'RUN', 'IMAGE', '--cfg-options', 'model.head.num_classes=4'), '3 classes'),
    ],
)
def test_mistakes_in_predict(folder, tmp_path, words, message):
    known = dict(
        CONFIG=folder / 'mine.py', RUN=folder / 'run/epoch_3.pth',
        IMAGE=folder / 'photos/ant/0.png', EMPTY=tmp_path,
    )  # fmt: skip
    found = tool('predict', *(known.get(word, word) for word in words))
    assert found.returncode
    assert message in found.stderr
    assert 'Traceback' not in found.stderr


def words_of(name, folder, tmp_path, config, checkpoint):
    """The command line of each tool that takes a config and a checkpoint."""
    config, checkpoint = folder / config, folder / checkpoint
    more = dict(
        test=['--work-dir', tmp_path], check=[], predict=[folder / 'photos'],
        train=['--work-dir', tmp_path],
    ).get(name, ['--out', tmp_path / 'report', '--no-tsne'])  # fmt: skip
    return [config, *(['--resume'] * (name == 'train')), checkpoint, *more]


LOADERS = ['test', 'check', 'predict', 'train', 'analysis_tools/analyze_model']


@pytest.mark.parametrize('name', LOADERS)
def test_every_tool_tells_that_config_and_checkpoint_were_swapped(folder, tmp_path, name):
    found = tool(name, *words_of(name, folder, tmp_path, 'run/epoch_3.pth', 'mine.py'))
    assert found.returncode == 2
    assert 'CONFIG comes before CHECKPOINT, got' in found.stderr


@pytest.mark.parametrize('name', LOADERS)
def test_one_loader_refuses_the_checkpoint_of_another_model(folder, tmp_path, name):
    state = mmlt.checkpoint.load(str(folder / 'run/epoch_3.pth'))
    weights = state['state_dict']
    weights['head.fc.bias'] = weights.pop('head.classifier.weight')[:, 0]
    torch.save(state, folder / 'other.pth')
    found = tool(name, *words_of(name, folder, tmp_path, 'mine.py', 'other.pth'))
    assert found.returncode == 1
    told = found.stdout + found.stderr
    assert 'does not fit the model: missing head.classifier.weight, unexpected head.fc.bias' in told
    assert 'Traceback' not in told


def rename_in_test(root):
    os.rename(root / 'data/mine/test/bee', root / 'data/mine/test/Bee')


def remove_from_test(root):
    shutil.rmtree(root / 'data/mine/test/bee')


def shuffle_counts(root):
    (root / 'data/mine/counts.json').write_text('[1, 2, 3]')


def break_image(root):
    path = next((root / 'data/mine/train/ant').iterdir())
    for each in (root / 'data/mine/train').rglob('*.png'):
        each.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ('change', 'options', 'message'),
    [
        (rename_in_test, [], "no class of the 3 known, first 'Bee'"),
        (remove_from_test, [], "1 of 3 classes, first 'bee'; if this set really has fewer"),
        (shuffle_counts, [], 'do not match the training set in 3 of 3 classes'),
        (break_image, [], 'failed to load image'),
        (None, ['model.head.num_classes=4'], 'class_counts has 3 classes, num_classes is 4'),
        (None, ['model.head.in_channels=32'], 'in_channels of DBMHead is 32'),
        (None, ['model.head.maxmargin=0.1'], 'maxmargin'),
        (None, ['model.neck=None'], 'is a GlobalAveragePooling neck missing?'),
        (None, ['model.backbone.type=CifarResnet'], 'CifarResnet is not in the'),
        (None, ['model.head.joint.type=BalancedSoftMaxLoss'], 'BalancedSoftMaxLoss is not in the'),
        (None, [f'train_dataloader.{k}' for k in ('batch_size=999', 'drop_last=True')], 'no batch'),
    ],
)  # fmt: skip
def test_check_names_the_fault(copy, change, options, message):
    if change:
        change(copy)
    found = tool('check', copy / 'mine.py', *(['--cfg-options', *options] if options else []))
    assert found.returncode == 1, found.stdout
    fault = next(line for line in found.stdout.splitlines() if line.startswith('FAULT'))
    assert message in fault


def test_check_refuses_a_checkpoint_of_another_model(folder, tmp_path):
    state = mmlt.checkpoint.load(str(folder / 'run/epoch_3.pth'))
    state['meta']['dataset_meta']['classes'] = ('ant', 'cat dog', 'bee')
    torch.save(state, tmp_path / 'other_names.pth')
    found = tool('check', folder / 'mine.py', tmp_path / 'other_names.pth')
    assert "class 1 is 'cat dog' in the checkpoint" in found.stdout
    assert found.returncode == 1
    del state['state_dict']['head.classifier.weight']
    torch.save(state, tmp_path / 'no_head.pth')
    found = tool('check', folder / 'mine.py', tmp_path / 'no_head.pth')
    assert 'missing head.classifier.weight' in found.stdout


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--method', 'dbm'], 'invalid choice'),
        (['--backbone', 'resnet19'], "backbone 'resnet19' is no model of mmpretrain"),
        (['--size', '16'], 'size must be 32 to 512'),
        (['--epochs', '1'], 'epochs of dbm-bs must be at least 2'),
        (['--batch-size', '1'], 'batch_size must be 2 to'),
        (['--batch-size', '0'], 'got 0'),
        (['--rate', '0'], 'rate must be > 0'),
        (['--out', 'mine.json'], '--out must end in .py'),
        (
            ['--backbone', 'CifarResNet', '--backbone-options', 'depth=20', '--pretrained'],
            'no pretrained weights',
        ),
        (['--backbone', 'CifarResNet', '--backbone-options', 'deep=20'], 'deep'),
    ],
)
def test_mistakes_in_new_config(folder, tmp_path, words, message):
    out = [] if '--out' in words else ['--out', tmp_path / 'x.py']
    found = tool('new_config', folder / 'data/mine', *out, *words)
    assert found.returncode
    assert message in found.stderr
    assert 'Traceback' not in found.stderr
    assert not (tmp_path / 'x.py').exists()


def test_a_config_is_not_overwritten_and_a_folder_must_be_a_split_one(folder, tmp_path):
    found = tool('new_config', folder / 'data/mine', '--out', folder / 'mine.py')
    assert 'choose another --out' in found.stderr
    found = tool('new_config', folder / 'photos', '--out', tmp_path / 'x.py')
    assert '"python -m mmlt split_folder" writes it' in found.stderr


def test_the_next_step_is_a_line_to_paste(folder, tmp_path):
    data, out = tmp_path / "my bird's" / 'data', tmp_path / "my bird's" / 'mine.py'
    split = tool('dataset_converters/split_folder', folder / 'photos', '--out', data,
                 '--test-per-class', 3)  # fmt: skip
    words = shlex.split(split.stdout.splitlines()[-1].removeprefix('next: '))
    assert words[:5] == ['python', '-m', 'mmlt', 'new_config', str(data)]
    new = tool('new_config', data, *words[5:-1], out, '--backbone', 'CifarResNet',
               '--backbone-options', 'depth=20')  # fmt: skip
    words = shlex.split(new.stdout.splitlines()[-1].removeprefix('next: '))
    assert words == ['python', '-m', 'mmlt', 'check', str(out)]
    named = re.findall(r'-m mmlt (\w+)', split.stdout + new.stdout + out.read_text())
    assert {'new_config', 'check', 'train'} <= set(named) <= set(tools())
    assert 'python tools/' not in out.read_text()
    (data / 'counts.json').write_text('[1, 2, 3]')
    found = tool('new_config', data, '--out', tmp_path / 'x.py')
    words = shlex.split(found.stderr.split('Split anew, or ')[1])
    assert words == ['python', '-m', 'mmlt', 'count_classes', str(data / 'train'), '--out',
                     str(data / 'counts.json'), '--overwrite']  # fmt: skip


@pytest.mark.parametrize('method', METHODS)
def test_every_method_takes_a_step(folder, method):
    out = folder / f'{method}.py'
    text, _ = config_text(
        folder / 'data/mine', out, method, 'CifarResNet', 32, 5,
        backbone_options=dict(depth=20), runtime=RUNTIME, workers=0,
    )  # fmt: skip
    out.write_text(text)
    found = tool('check', out)
    assert found.returncode == 0, found.stdout + found.stderr
    cfg = Config.fromfile(out)
    second = dict(type='ClassifierRetrainingHook', begin_epoch=4)
    assert cfg.default_hooks.get('retraining') == (second if method == 'bce3s' else None)


@pytest.mark.parametrize(
    ('name', 'size', 'width', 'pooled'),
    [
        ('resnet18', 64, 512, True),
        ('mobilenet-v2', 64, 1280, True),
        ('convnext-tiny', 64, 768, False),
        ('swin-tiny', 64, 768, True),
        ('deit-tiny', 64, 192, False),
    ],
)
def test_backbones_of_the_zoo_by_name(name, size, width, pooled):
    found = find_backbone(name, size)
    assert (found.width, found.pooled) == (width, pooled)
    assert 'init_cfg' not in found.spec
    MODELS.build(found.spec)
