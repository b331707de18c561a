"""A folder of photos, split: what is kept, what is left out and why, where each image goes."""

import json
import os
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmlt.datasets import PhotoFolder
from mmlt.datasets.image_check import image_fault
from mmlt.datasets.photo_split import place_split, plan_split

sys.path.insert(0, str(Path(__file__).parents[2] / 'tools/dataset_converters'))
from split_folder import main  # noqa: E402

RNG = np.random.RandomState(0)


def image(path: Path, mode='RGB', size=(12, 10), **save) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.randint(0, 255, (*size, 3), np.uint8)).convert(mode).save(path, **save)
    return path


@pytest.fixture
def photos(tmp_path):
    for name, number in (('cat', 10), ('ant', 6), ('sea lion', 3)):
        for i in range(number):
            image(tmp_path / 'photos' / name / f'{i}.png')
    return tmp_path / 'photos'


def encoded(kind='PNG', mode='RGB', size=(40, 40)) -> bytes:
    file = BytesIO()
    Image.fromarray(RNG.randint(0, 255, (*size, 3), np.uint8)).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ('kind', 'mode'),
    [('JPEG', 'RGB'), ('JPEG', 'L'), ('JPEG', 'CMYK'), ('PNG', 'P'), ('PNG', 'RGBA'),
     ('PNG', '1'), ('WEBP', 'RGB'), ('TIFF', 'RGB'), ('BMP', 'RGB')],
)  # fmt: skip
def test_images_that_can_be_trained_on_have_no_fault(kind, mode):
    assert image_fault(encoded(kind, mode)) == ''


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'BMP'])
def test_a_truncated_image_is_told(kind):
    content = encoded(kind)
    assert image_fault(content[: len(content) * 2 // 3]).startswith('truncated or damaged')


def deep_png() -> bytes:
    import cv2

    return cv2.imencode('.png', np.zeros((4, 4, 3), np.uint16))[1].tobytes()


def animation() -> bytes:
    file = BytesIO()
    frames = [Image.new('RGB', (8, 8), color) for color in ('red', 'blue')]
    frames[0].save(file, 'PNG', save_all=True, append_images=frames[1:])
    return file.getvalue()


@pytest.mark.parametrize(
    ('content', 'reason'),
    [(b'', '0 bytes'), (b'GIF? no', 'not an image'), (deep_png(), '16 bits'),
     (encoded('PNG', 'I;16'), '16 bits'), (animation(), '2 frames')],
)  # fmt: skip
def test_faults(content, reason):
    assert image_fault(content).startswith(reason)


def test_a_bomb_is_known_by_its_header_alone():
    file = BytesIO()
    Image.new('1', (30_000, 30_000)).save(file, 'PNG')
    # Cut off: if it was unpacked, it would be called truncated.
    assert 'bomb' in image_fault(file.getvalue()[:200])
    assert 'more than 99: a bomb' in image_fault(encoded(size=(10, 10)), max_pixels=99)


def test_every_image_goes_to_one_part_and_the_same_one_each_time(photos):
    split = plan_split(photos, test_per_class=2, val_fraction=0.25)
    assert split.classes == ['ant', 'cat', 'sea lion']
    assert split.counts('test') == [2, 2, 1]  # at most half
    assert split.counts('val') == [1, 2, 1]
    assert split.counts('train') == [3, 6, 1]
    assert 'sea lion' in split.notes[0]
    where = [path for part in split.files.values() for paths in part.values() for path in paths]
    assert len(where) == len(set(where)) == 19
    assert plan_split(photos, test_per_class=2, val_fraction=0.25) == split
    assert plan_split(photos, test_per_class=2, val_fraction=0.25, seed=1) != split


def test_a_new_image_moves_at_most_one_other(photos):
    before = set(plan_split(photos, test_per_class=3).files['test']['cat'])
    image(photos / 'cat' / 'new.png')
    after = set(plan_split(photos, test_per_class=3).files['test']['cat'])
    assert len(before - after) <= 1


def test_what_is_left_out_is_listed_with_its_reason(photos):
    (photos / 'cat' / 'empty.jpg').write_bytes(b'')
    (photos / 'cat' / 'cut.jpg').write_bytes(encoded('JPEG')[:500])
    (photos / 'cat' / 'twin.png').write_bytes((photos / 'cat' / '3.png').read_bytes())
    (photos / 'ant' / 'both.png').write_bytes((photos / 'cat' / '4.png').read_bytes())
    (photos / 'ant' / 'a.gif').write_bytes(b'GIF89a')
    (photos / 'ant' / 'notes.txt').write_text('x')
    image(photos / '.ipynb_checkpoints' / 'a.png')
    image(photos / 'loose.png')
    image(photos / 'ant' / 'deeper' / 'kept.webp')
    split = plan_split(photos, test_per_class=2, check_images=True)
    reasons = dict(split.skipped)
    assert reasons.pop('cat/empty.jpg') == '0 bytes'
    assert reasons.pop('cat/cut.jpg').startswith('truncated')
    assert reasons.pop('cat/twin.png') == 'the same image as cat/3.png'
    assert reasons.pop('cat/4.png').endswith('two labels')
    assert reasons.pop('ant/both.png').endswith('two labels')
    assert 'convert' in reasons.pop('ant/a.gif')
    assert reasons.pop('ant/notes.txt') == 'not an image by its name'
    assert reasons.pop('.ipynb_checkpoints/') == 'hidden folder'
    assert reasons.pop('loose.png') == 'lies in no class folder'
    assert not reasons
    assert sum(map(sum, map(split.counts, split.files))) == 19  # 4.png less, kept.webp more


@pytest.mark.parametrize('how', ['copy', 'hardlink', 'symlink'])
def test_the_originals_stay_untouched(photos, tmp_path, how):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos.rglob('*.png')}
    main([str(photos), '--out', str(tmp_path / 'out'), '--test-per-class', '2', '--place', how])
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos.rglob('*.png')}
    placed = list((tmp_path / 'out').rglob('*.png'))
    assert sorted(p.read_bytes() for p in placed) == sorted(c for c, _ in before.values())
    assert all(p.is_symlink() == (how == 'symlink') for p in placed)
    assert all((os.stat(p).st_nlink == 2) == (how == 'hardlink') for p in placed)


def test_the_command_writes_what_a_training_reads(photos, tmp_path, capsys):
    out = tmp_path / 'data' / 'mine'
    main([str(photos), '--out', str(out), '--test-per-class', '2', '--val-fraction', '0.25',
          '--check-images'])  # fmt: skip
    counts = json.loads((out / 'counts.json').read_text())
    train = PhotoFolder(str(out), split='train')
    assert np.bincount(train.get_gt_labels()).tolist() == counts == [3, 6, 1]
    assert train.metainfo['classes'] == ('ant', 'cat', 'sea lion')
    assert len(PhotoFolder(str(out), split='val')) == 4
    assert '3 classes, 10 images' in capsys.readouterr().out
    assert not list(out.parent.glob('.*'))


def test_what_a_killed_run_left_is_replaced(photos, tmp_path):
    image(tmp_path / '.out.unfinished' / 'train' / 'dog' / 'old.png')
    place_split(plan_split(photos, 2), tmp_path / 'out', 'copy', {})
    assert not list((tmp_path / 'out').rglob('old.png'))


@pytest.mark.parametrize(
    ('change', 'words', 'message'),
    [
        (lambda p: None, ['--test-per-class', '0'], 'test_per_class must be at least 1'),
        (lambda p: None, ['--val-fraction', '1'], r'val_fraction must be in \[0, 1\)'),
        (lambda p: (p / 'bird').mkdir(), [], '1 of 4 class folders hold no image.*bird'),
        (lambda p: image(p / 'Cat' / 'a.png'), [], "'Cat' and 'cat' differ in case alone"),
        (lambda p: image(p / 'dog' / 'a.png'), [], r'fewer than 2 good images: dog \(1\)'),
        (lambda p: None, ['--min-images', '99'], '0 classes have 99 images or more'),
    ],
)
def test_mistakes_end_in_a_line(photos, tmp_path, change, words, message):
    change(photos)
    with pytest.raises(ValueError, match=message):
        main([str(photos), '--out', str(tmp_path / 'out'), '--test-per-class', '2', *words])
    assert not (tmp_path / 'out').exists()


def test_wrong_folders(photos, tmp_path):
    with pytest.raises(ValueError, match='lie in each other'):
        main([str(photos), '--out', str(photos / 'out'), '--test-per-class', '2'])
    with pytest.raises(ValueError, match='holds no folders'):
        plan_split(photos / 'cat', 2)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        main([str(tmp_path / 'fotos'), '--out', str(tmp_path / 'out'), '--test-per-class', '2'])
    place_split(plan_split(photos, 2), tmp_path / 'out', 'copy', {})
    with pytest.raises(ValueError, match='it is split already'):
        plan_split(tmp_path / 'out', 2)
    with pytest.raises(FileExistsError, match='choose another --out'):
        main([str(photos), '--out', str(tmp_path / 'out'), '--test-per-class', '2'])


def test_small_classes_are_left_out_on_request(photos):
    split = plan_split(photos, 2, min_images=6)
    assert split.classes == ['ant', 'cat']
    assert 'sea lion (3)' in split.notes[0]


def test_labels_go_by_name(photos, tmp_path):
    out = tmp_path / 'out'
    main([str(photos), '--out', str(out), '--test-per-class', '2'])
    os.rename(out / 'test' / 'ant', tmp_path / 'gone')
    with pytest.raises(ValueError, match="of 1 of 3 classes, first 'ant'.*allow_missing"):
        PhotoFolder(str(out), split='test')
    fewer = PhotoFolder(str(out), split='test', allow_missing=True)
    assert set(fewer.get_gt_labels()) == {1, 2}
    assert len(fewer.metainfo['classes']) == 3
    os.rename(tmp_path / 'gone', out / 'test' / 'Ant')
    with pytest.raises(ValueError, match="no class of the 3 known, first 'Ant'"):
        PhotoFolder(str(out), split='test', allow_missing=True)
    with pytest.raises(FileNotFoundError, match='val is no folder'):
        PhotoFolder(str(out), split='val')
