import gzip
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from mmpretrain.datasets import CustomDataset
from PIL import Image

from mmlt.class_counts import load_class_counts
from mmlt.datasets import ImageNetLT, LongTailedDataset, PhotoFolder

FOLDER = Path(__file__).parents[2] / 'tools' / 'dataset_converters'
LETTERS = 'abcdefghij'


@pytest.fixture
def tool(monkeypatch):
    """The main function of a converter, by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return lambda name: importlib.import_module(name).main


def make_tar(path, names):
    with tarfile.open(path, 'w') as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return str(path)


def cifar_names(train=4, test=2):
    sizes = {'train': train, 'test': test}
    return [f'{s}/{c}/{i}.jpg' for s, n in sizes.items() for c in LETTERS for i in range(n)]


def snapshot(folder):
    files = [p for p in sorted(folder.rglob('*')) if p.is_file()]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


@pytest.fixture
def memory(tmp_path):
    """A folder in memory where the system has one: 60,000 files take half a minute on a disk."""
    if not os.access('/dev/shm', os.W_OK) or shutil.disk_usage('/dev/shm').free < 2**30:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        yield Path(folder)


def test_cifar_images_converts_the_real_archive(tool, real_data, memory):
    tmp_path = memory / 'out'
    tool('cifar_images')([str(real_data / 'cifar10-jpeg.tar.xz'), '--out', str(tmp_path)])
    train = CustomDataset(data_root=str(tmp_path / 'train'))
    test = CustomDataset(data_root=str(tmp_path / 'test'))
    assert np.bincount(train.get_gt_labels()).tolist() == [5000] * 10
    assert np.bincount(test.get_gt_labels()).tolist() == [1000] * 10
    assert train.CLASSES[0] == 'airplane'
    long_tailed = LongTailedDataset(train, 'cifar10-lt-if100')
    np.random.seed(0)
    expected = []
    for k, n in enumerate(load_class_counts('cifar10-lt-if100')):
        members = np.arange(5000 * k, 5000 * (k + 1))  # the folders are read class by class
        np.random.shuffle(members)
        expected += members[:n].tolist()
    assert long_tailed.indices == expected
    assert len(long_tailed) == 12406


@pytest.mark.parametrize('packed', [True, False])
def test_cifar_images_twice_changes_nothing_and_repairs(tool, tmp_path, packed):
    src = make_tar(tmp_path / 'cifar10.tar', ['./top/' + n for n in cifar_names()])
    if not packed:
        with tarfile.open(src) as archive:
            archive.extractall(tmp_path / 'cifar10', filter='data')
        src = str(tmp_path / 'cifar10')
    out = tmp_path / 'out'
    args = [src, '--out', str(out), '--no-check']
    tool('cifar_images')(args)
    first = snapshot(out)
    assert sorted(first) == sorted(cifar_names())
    tool('cifar_images')(args)
    assert snapshot(out) == first
    (out / 'train/a/1.jpg').unlink()
    (out / 'test/b/1.jpg').write_bytes(b'short')
    tool('cifar_images')(args)
    assert {k: v[0] for k, v in snapshot(out).items()} == {k: v[0] for k, v in first.items()}


def test_cifar_images_completes_a_killed_run(tool, tmp_path):
    names = cifar_names(train=2000, test=10)
    src = make_tar(tmp_path / 'cifar10.tar', names)
    out = tmp_path / 'out'
    args = [src, '--out', str(out), '--no-check']
    command = [sys.executable, str(FOLDER / 'cifar_images.py'), *args]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    unfinished = out / '.train.unfinished'
    while run.poll() is None and not (unfinished / 'b').is_dir():
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    # Nothing that a config would read is there yet.
    assert [p.name for p in out.iterdir()] == [unfinished.name]
    (unfinished / 'a' / 'left.jpg.part').write_bytes(b'half')
    tool('cifar_images')(args)
    assert sorted(snapshot(out)) == sorted(names)


@pytest.mark.parametrize(
    ('names', 'options', 'message'),
    [
        (cifar_names()[:-1], [], 'train/a has 4 images, expected 5000'),
        (cifar_names(test=0), ['--no-check'], r"must hold images train/.*found \['train'\]"),
        (['x/1.jpg'], [], 'found neither'),
        ([*cifar_names(), 'test/z/1.jpg'], [], r"only one of train and test: \['z'\]"),
    ],
)
def test_cifar_images_refuses_other_data(tool, tmp_path, names, options, message):
    src = make_tar(tmp_path / 'cifar10.tar', names)
    out = tmp_path / 'out'
    with pytest.raises(ValueError, match=message):
        tool('cifar_images')([src, '--out', str(out), *options])
    assert not (out / 'train').exists()


def test_cifar_images_names_wrong_sources(tool, tmp_path):
    main = tool('cifar_images')
    with pytest.raises(FileNotFoundError, match='none.tar does not exist'):
        main(['none.tar'])
    (tmp_path / 'cifar10.txt').write_text('no archive')
    with pytest.raises(ValueError, match='neither a folder nor a tar archive'):
        main([str(tmp_path / 'cifar10.txt')])
    (tmp_path / 'cifar10-jpeg.tar.xz').write_bytes(
        Path(make_tar(tmp_path / 't.tar', cifar_names())).read_bytes()
    )
    with pytest.raises(ValueError, match='cifar10-jpeg.tar.xz: sha256 is .* expected a449fb6cc'):
        main([str(tmp_path / 'cifar10-jpeg.tar.xz')])
    with pytest.raises(ValueError, match='does not tell CIFAR-10 from CIFAR-100'):
        main([str(tmp_path / 't.tar')])
    (tmp_path / 'cifar10' / 'cifar-10-batches-py').mkdir(parents=True)
    with pytest.raises(ValueError, match='official pickles'):
        main([str(tmp_path / 'cifar10')])


def test_archive_cannot_write_outside(tool, tmp_path):
    src = make_tar(tmp_path / 'cifar10.tar', [*cifar_names(), '../../train/a/evil.jpg'])
    with pytest.raises(tarfile.OutsideDestinationError, match='evil.jpg'):
        tool('cifar_images')([src, '--out', str(tmp_path / 'deep' / 'out'), '--no-check'])
    assert not list(tmp_path.rglob('evil.jpg'))


def test_files_of_another_source_are_reported(tool, tmp_path):
    src = make_tar(tmp_path / 'cifar10.tar', cifar_names())
    args = [src, '--out', str(tmp_path / 'out'), '--no-check']
    tool('cifar_images')(args)
    (tmp_path / 'out/train/a/own.jpg').write_bytes(b'mine')
    with pytest.raises(ValueError, match='1 files that the source does not have, .*own.jpg'):
        tool('cifar_images')(args)
    assert (tmp_path / 'out/train/a/own.jpg').read_bytes() == b'mine'


def test_imagenet_sample_gets_lists_that_the_dataset_reads(tool, real_data, tmp_path):
    lists = tmp_path / 'lists'
    args = [str(real_data / 'imagenet-sample.tar'), '--out', str(tmp_path / 'imagenet')]
    for _ in range(2):
        tool('imagenet_lt')([*args, '--list-dir', str(lists)])
    counts = load_class_counts(lists / 'class_counts.json')
    assert counts == [4] * 50
    options = {'data_root': str(tmp_path / 'imagenet'), 'num_classes': 50, 'check_files': 'all'}
    load = {'pipeline': [{'type': 'LoadImageFromFile'}]}
    seen = []
    for split, each in (('train', 4), ('val', 1), ('test', 1)):
        data = ImageNetLT(str(lists / f'ImageNet_LT_{split}.txt'), **options, **load)
        assert np.bincount(data.get_gt_labels()).tolist() == [each] * 50
        seen += [data.get_data_info(i)['img_path'] for i in range(len(data))]
    assert len(set(seen)) == 300
    assert data[0]['img'].ndim == 3
    official = real_data / 'annotations' / 'ImageNet_LT_val.txt.gz'
    by_label = [*args, '--list-dir', str(tmp_path / 'by_label'), '--labels-from', str(official)]
    tool('imagenet_lt')(by_label)
    table = (tmp_path / 'by_label' / 'ImageNet_LT_train.txt').read_text()
    # The archive's own table of wnids and labels is the oracle.
    with tarfile.open(real_data / 'imagenet-sample.tar') as archive:
        rows = archive.extractfile('classes.tsv').read().decode().split('\n')[1:]
    expected = {row.split('\t')[0]: row.split('\t')[1] for row in rows if row}
    got = {line.split('/')[1]: line.split(' ')[1] for line in table.split('\n') if line}
    assert got == expected


def test_official_lists_are_restricted_to_the_disk(tool, tmp_path):
    disk = tmp_path / 'imagenet'
    for name in ('train/n01440764/n01440764_1.JPEG', 'val/ILSVRC2012_val_7.JPEG'):
        (disk / name).parent.mkdir(parents=True)
        (disk / name).write_bytes(b'x')
    train, test = tmp_path / 'ImageNet_LT_train.txt', tmp_path / 'ImageNet_LT_test.txt.gz'
    train.write_text('train/n01440764/n01440764_1.JPEG 0\ntrain/n01440764/n01440764_2.JPEG 0\n')
    test.write_bytes(gzip.compress(b'val/n01440764/ILSVRC2012_val_7.JPEG 0'))
    args = [str(disk), '--lists', str(train), str(test), '--list-dir']
    tool('imagenet_lt')([*args, str(tmp_path / 'out')])
    written = {p.name: p.read_text() for p in (tmp_path / 'out').iterdir()}
    assert written == {
        'ImageNet_LT_train.txt': 'train/n01440764/n01440764_1.JPEG 0\n',
        'ImageNet_LT_test.txt': 'val/ILSVRC2012_val_7.JPEG 0\n',
    }
    with pytest.raises(FileNotFoundError, match=r'train.txt:2: .*_2.JPEG is not below .*1 of 2'):
        tool('imagenet_lt')([*args, str(tmp_path / 'out'), '--strict'])
    # The official list itself is in the way: it must survive.
    with pytest.raises(FileExistsError, match='ImageNet_LT_train.txt exists and differs'):
        tool('imagenet_lt')([*args, str(tmp_path)])
    assert len(train.read_text().split('\n')) == 3


def test_places_lists_are_unpacked_and_checked(tool, real_data, tmp_path, capsys):
    source = real_data / 'annotations' / 'Places_LT_train.txt.gz'
    for _ in range(2):
        tool('places_lt')([str(source), '--out', str(tmp_path)])
    written = tmp_path / 'Places_LT_train.txt'
    assert written.read_bytes() == gzip.decompress(source.read_bytes())
    assert 'is the published Places_LT_train.txt' in capsys.readouterr().out
    short = tmp_path / 'Places_LT_train_short.txt'
    short.write_text(''.join(written.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match='short.txt: the class counts are not those of Places-LT'):
        tool('places_lt')([str(short), '--out', str(tmp_path / 'out')])
    with pytest.raises(FileNotFoundError, match=r'PlacesLT: the images .*train/airfield/00004851'):
        tool('places_lt')([str(source), '--out', str(tmp_path), '--images', str(tmp_path)])


def test_inaturalist_json_becomes_list_and_counts(tool, tmp_path):
    labels = [2, 0, 1, 0]
    content = {
        'images': [{'id': i, 'file_name': f'train_val2018/A/{i}.jpg'} for i in range(4)],
        'annotations': [{'image_id': i, 'category_id': k} for i, k in enumerate(labels)],
    }
    source = tmp_path / 'train2018.json'
    source.write_text(json.dumps(content))
    args = [str(source), '--out', str(tmp_path / 'out'), '--num-classes', '3']
    with pytest.raises(ValueError, match='class counts are not those of iNaturalist 2018'):
        tool('inaturalist2018')(args)
    for _ in range(2):
        tool('inaturalist2018')([*args, '--no-check'])
    assert load_class_counts(tmp_path / 'out' / 'class_counts.json') == [2, 1, 1]
    lines = (tmp_path / 'out' / 'iNaturalist18_train.txt').read_text().splitlines()
    assert lines == [f'train_val2018/A/{i}.jpg {k}' for i, k in enumerate(labels)]
    with pytest.raises(FileNotFoundError, match='annotation 1: .*A/0.jpg does not exist'):
        tool('inaturalist2018')([*args, '--images', str(tmp_path)])


def test_count_classes_of_folder_list_and_json(tool, real_data, tmp_path):
    out = tmp_path / 'counts.json'
    for name, count in (('ant', 3), ('bee', 1)):
        (tmp_path / 'own' / name / 'deeper').mkdir(parents=True)
        for i in range(count):
            (tmp_path / 'own' / name / 'deeper' / f'{i}.PNG').touch()
        (tmp_path / 'own' / name / 'notes.txt').touch()
    main = tool('count_classes')
    main([str(tmp_path / 'own'), '--out', str(out)])
    assert load_class_counts(out) == [3, 1]
    main([str(tmp_path / 'own'), '--out', str(out)])  # the same once more
    with pytest.raises(ValueError, match='has 2 classes, --num-classes is 3'):
        main([str(tmp_path / 'own'), '--out', str(out), '--num-classes', '3'])
    (tmp_path / 'own' / 'cat').mkdir()
    with pytest.raises(ValueError, match='own/cat holds no image'):
        main([str(tmp_path / 'own'), '--out', str(out)])
    annotations = real_data / 'annotations'
    places = [
        str(annotations / 'Places_LT_train.txt.gz'),
        '--num-classes',
        '365',
        '--out',
        str(out),
    ]
    with pytest.raises(FileExistsError, match='counts.json exists and differs: .* --overwrite'):
        main(places)
    assert load_class_counts(out) == [3, 1]
    main([*places, '--overwrite'])
    assert load_class_counts(out) == load_class_counts('places-lt')
    partial = str(annotations / 'ImageNet_LT_train.120classes.txt.gz')
    with pytest.raises(ValueError, match='880 of 1000 classes have no image, first 0'):
        main([partial, '--out', str(out), '--num-classes', '1000'])


def test_count_classes_counts_what_photo_folder_reads(tool, tmp_path):
    data = tmp_path / 'mine'
    for name, files in dict(cat=['a.webp', 'b.JPG', '._b.JPG'], ant=['c.tiff']).items():
        (data / 'train' / name / '.hidden').mkdir(parents=True)
        for file in (*files, '.hidden/d.png'):
            Image.new('RGB', (4, 4)).save(data / 'train' / name / file, 'PNG')
    (data / 'classes.txt').write_text('cat\nant\n')  # not sorted: the file's order is the labels'
    tool('count_classes')([str(data / 'train'), '--out', str(data / 'counts.json')])
    dataset = PhotoFolder(str(data), 'train')
    labels = [dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))]
    assert labels == [0, 0, 1]
    assert load_class_counts(data / 'counts.json') == [2, 1]


def test_count_classes_refuses_the_parts_of_a_split(tool, tmp_path, capsys):
    for part in ('test', 'train', 'val'):
        (tmp_path / part / 'cat').mkdir(parents=True)
        (tmp_path / part / 'cat' / 'a.png').touch()
    words = [str(tmp_path), '--out', str(tmp_path / 'counts.json')]
    with pytest.raises(ValueError, match='is split already.* a folder of class folders, .*/train$'):
        tool('count_classes')(words)
    assert not (tmp_path / 'counts.json').exists()
    (tmp_path / 'dog').mkdir()  # among other classes it is a name as any other
    (tmp_path / 'dog' / 'a.png').touch()
    tool('count_classes')(words)
    assert load_class_counts(tmp_path / 'counts.json') == [1, 1, 1, 1]
    assert 'the 4 images were counted by their names, not read' in capsys.readouterr().out


def test_counts_are_never_written_over_what_is_counted(tool, tmp_path, capsys):
    (tmp_path / 'list.txt').write_text('a.jpg 0\nb.jpg 1\n')
    for out in ('list.txt', 'counts.txt'):
        with pytest.raises(SystemExit):
            tool('count_classes')([str(tmp_path / 'list.txt'), '--out', str(tmp_path / out)])
        assert '--out must be another file, which ends with .json' in capsys.readouterr().err
    assert (tmp_path / 'list.txt').read_text() == 'a.jpg 0\nb.jpg 1\n'


def test_a_mistake_on_the_command_line_ends_in_one_line(tmp_path):
    command = [sys.executable, str(FOLDER / 'cifar_images.py'), 'nowhere']
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1
    assert 'error: nowhere does not exist' in run.stderr
    assert 'Traceback' not in run.stderr
