import gzip
import json

import cv2
import numpy as np
import pytest
from mmpretrain.registry import DATASETS

from mmlt.datasets import ImageNetLT, INaturalist2018, PathLabelDataset, PlacesLT

LOAD = [{'type': 'LoadImageFromFile'}]


def make_images(root, paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / path), np.full((6, 5, 3), 80, np.uint8))


def write_list(path, listed, end='\n'):
    path.write_text('\n'.join(f'{name} {label}' for label, name in enumerate(listed)) + end)
    return str(path)


def image_paths(dataset, root):
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [info['img_path'].removeprefix(f'{root}/') for info in infos]


@pytest.mark.parametrize('end', ['', '\n', '\n\n', '\r\n'])
@pytest.mark.parametrize('packed', [True, False])
def test_list_is_read_with_any_ending_plain_or_packed(tmp_path, end, packed):
    names = ['a/x 1.jpg', 'b/y.jpg']
    make_images(tmp_path, names)
    path = write_list(tmp_path / 'train.txt', names, end)
    if packed:
        (tmp_path / 'train.txt.gz').write_bytes(
            gzip.compress((tmp_path / 'train.txt').read_bytes())
        )
        (tmp_path / 'train.txt').unlink()
    dataset = PathLabelDataset('train.txt', data_root=str(tmp_path), pipeline=LOAD)
    assert dataset.get_gt_labels().tolist() == [0, 1]
    assert image_paths(dataset, tmp_path) == names
    assert dataset[0]['img'].shape == (6, 5, 3)
    assert dataset.ann_file == path + '.gz' * packed


@pytest.mark.parametrize(
    ('kind', 'listed', 'on_disk'),
    [
        (ImageNetLT, 'train/n01440764/n01440764_1.JPEG', 'train/n01440764/n01440764_1.JPEG'),
        (ImageNetLT, 'train/n01440764/n01440764_1.JPEG', 'n01440764/n01440764_1.JPEG'),
        (ImageNetLT, 'data/train/n01440764/n01440764_1.JPEG', 'train/n01440764/n01440764_1.JPEG'),
        (ImageNetLT, 'train/n01440764/a.JPEG', 'ILSVRC/Data/CLS-LOC/train/n01440764/a.JPEG'),
        (ImageNetLT, 'val/n01440764/ILSVRC2012_val_1.JPEG', 'val/ILSVRC2012_val_1.JPEG'),
        (ImageNetLT, 'val/n01440764/v_1.JPEG', 'ILSVRC/Data/CLS-LOC/val/v_1.JPEG'),
        (ImageNetLT, 'val/n01440764/ILSVRC2012_val_1.JPEG', 'ILSVRC2012_val_1.JPEG'),
        (ImageNetLT, 'val/ILSVRC2012_val_1.JPEG', 'val/n01440764/ILSVRC2012_val_1.JPEG'),
        (PlacesLT, 'train/airfield/00000001.jpg', 'train/airfield/00000001.jpg'),
        (PlacesLT, 'train/airfield/00000001.jpg', 'data_256/a/airfield/00000001.jpg'),
        (PlacesLT, 'train/bow_window-indoor/1.jpg', 'data_256/b/bow_window/indoor/1.jpg'),
        (PlacesLT, 'train/airfield/1.jpg', 'data_large_standard/a/airfield/1.jpg'),
        (PlacesLT, 'data_256/b/bow_window/indoor/1.jpg', 'train/bow_window-indoor/1.jpg'),
        (PlacesLT, 'data_256/a/airfield/1.jpg', 'places365_standard/train/airfield/1.jpg'),
        (PlacesLT, 'val/airfield/Places365_val_1.jpg', 'val_256/Places365_val_1.jpg'),
        (PlacesLT, 'val/airfield/Places365_val_1.jpg', 'val/Places365_val_1.jpg'),
        (PlacesLT, 'val_256/Places365_val_1.jpg', 'val/airfield/Places365_val_1.jpg'),
        (INaturalist2018, 'train_val2018/Aves/7/x.jpg', 'train_val2018/Aves/7/x.jpg'),
        (INaturalist2018, 'train_val2018/Aves/7/x.jpg', 'Aves/7/x.jpg'),
    ],
)
def test_both_layouts_are_found(tmp_path, kind, listed, on_disk):
    root = tmp_path / 'images'
    make_images(root, [on_disk])
    path = write_list(tmp_path / 'list.txt', [listed])
    config = {'type': kind.__name__, 'ann_file': path, 'data_root': str(root), 'pipeline': LOAD}
    dataset = DATASETS.build(config)
    assert image_paths(dataset, root) == [on_disk]
    assert dataset[0]['img'].shape == (6, 5, 3)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a.jpg 0\nb.jpg\n', r"list.txt:2: expected \"path label\", got 'b.jpg': no label"),
        ('a.jpg 0\n\nb.jpg x\n', r"list.txt:3: .*got 'b.jpg x': label 'x'"),
        ('a.jpg,0', r"list.txt:1: .*got 'a.jpg,0'"),
        ('a.jpg 1.0', "list.txt:1: .*label '1.0'"),
        ('a.jpg 0\nb.jpg 5', r'list.txt:2: label 5 .*in 0..4 \(num_classes = 5\)'),
        ('a.jpg -1', 'list.txt:1: label -1 is out of range'),
        ('\n\n', 'list.txt is empty'),
        ('', 'list.txt is empty'),
    ],
)
def test_bad_line_is_named(tmp_path, text, message):
    (tmp_path / 'list.txt').write_text(text)
    make_images(tmp_path, ['a.jpg', 'b.jpg'])
    with pytest.raises(ValueError, match=message):
        PathLabelDataset('list.txt', data_root=str(tmp_path), num_classes=5)


def test_damaged_gzip_is_named(tmp_path):
    (tmp_path / 'list.txt.gz').write_bytes(gzip.compress(b'a.jpg 0\n' * 99)[:-12])
    with pytest.raises(ValueError, match='list.txt.gz is no readable text or gzip file'):
        PathLabelDataset('list.txt.gz', data_root=str(tmp_path))


def test_missing_list_root_and_images_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'looked for .*/none.txt, .*none.txt.gz.*README'):
        ImageNetLT('none.txt', data_root=str(tmp_path))
    path = write_list(tmp_path / 'list.txt', ['train/n01440764/x.JPEG'])
    with pytest.raises(FileNotFoundError, match='image folder .*/gone does not exist.*image-net'):
        ImageNetLT(path, data_root=str(tmp_path / 'gone'))
    with pytest.raises(FileNotFoundError, match=r'list.txt:1 looked for train/n01440764/x.JPEG, n'):
        ImageNetLT(path, data_root=str(tmp_path))


def test_one_missing_image_is_named_before_training(tmp_path):
    names = [f'train/c/{i}.jpg' for i in range(1000)]
    make_images(tmp_path, names)
    path = tmp_path / 'list.txt'
    path.write_text(''.join(f'{name} 0\n' for name in names))
    (tmp_path / names[4]).unlink()  # in the sample: every fourth line is
    with pytest.raises(FileNotFoundError, match=r'list.txt:5: image .*c/4.jpg does not exist'):
        PathLabelDataset(str(path), data_root=str(tmp_path))
    make_images(tmp_path, [names[4]])
    (tmp_path / names[501]).unlink()
    assert len(PathLabelDataset(str(path), data_root=str(tmp_path))) == 1000
    with pytest.raises(FileNotFoundError, match=r'list.txt:502: image .*c/501.jpg'):
        PathLabelDataset(str(path), data_root=str(tmp_path), check_files='all')
    with pytest.raises(ValueError, match="check_files must be one of .*got 'some'"):
        PathLabelDataset(str(path), check_files='some')


def test_an_image_that_the_layout_of_the_others_lacks_is_named(tmp_path):
    """A flat list of images in class folders: their places are looked up by name."""
    make_images(tmp_path, [f'val/n0/v_{i}.JPEG' for i in range(3)])
    path = write_list(tmp_path / 'list.txt', [f'val/v_{i}.JPEG' for i in range(4)])
    with pytest.raises(FileNotFoundError, match=r'list\.txt:4: no image val/v_3\.JPEG below'):
        ImageNetLT(path, data_root=str(tmp_path), pipeline=LOAD)


@pytest.mark.parametrize('test_mode', [True, False])
def test_broken_image_is_named(tmp_path, test_mode):
    make_images(tmp_path, ['a.jpg'])
    path = write_list(tmp_path / 'list.txt', ['a.jpg'])
    content = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').write_bytes(content[: len(content) // 2])
    dataset = PathLabelDataset(path, str(tmp_path), pipeline=LOAD, test_mode=test_mode)
    with pytest.raises(ValueError, match=r'image .*a.jpg \(\d+ bytes\) is broken'):
        dataset[0]


def coco(tmp_path, **changes):
    content = {
        'images': [{'id': 11, 'file_name': 'train_val2018/Aves/1/a.jpg'}],
        'annotations': [{'id': 11, 'image_id': 11, 'category_id': 1}],
    }
    path = tmp_path / 'train2018.json'
    path.write_text(json.dumps(content | changes))
    make_images(tmp_path, ['train_val2018/Aves/1/a.jpg'])
    return {'ann_file': path.name, 'data_root': str(tmp_path)}


def test_inaturalist_reads_the_official_json(tmp_path):
    dataset = INaturalist2018(**coco(tmp_path))
    assert image_paths(dataset, tmp_path) == ['train_val2018/Aves/1/a.jpg']
    assert dataset.get_gt_labels().tolist() == [1]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'annotations': [{'image_id': 11, 'category_id': 8142}]}, 'annotation 1: label 8142'),
        ({'annotations': [{'image_id': 12, 'category_id': 1}]}, 'annotation 1: no image or label'),
        ({'annotations': [{'image_id': 11}]}, "annotation 1: .*missing 'category_id'"),
        ({'annotations': [{'image_id': 11, 'category_id': '1'}]}, "an integer, got '1'"),
        ({'annotations': []}, r'train2018.json must hold non-empty'),
        ({'images': [{'id': 1}]}, 'every image needs'),
    ],
)
def test_bad_json_is_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        INaturalist2018(**coco(tmp_path, **changes))


def test_class_names_follow_the_number_of_classes(tmp_path):
    path = write_list(tmp_path / 'list.txt', ['a.jpg', 'b.jpg'])
    whole = ImageNetLT(path, check_files='none')
    assert (len(whole.CLASSES), whole.num_classes) == (1000, 1000)
    assert ImageNetLT(path, check_files='none', num_classes=2).CLASSES is None
    named = ImageNetLT(path, check_files='none', num_classes=2, classes=['ant', 'bee'])
    assert named.CLASSES == ('ant', 'bee')
    with pytest.raises(ValueError, match='got 1 class names and num_classes = 2'):
        ImageNetLT(path, check_files='none', num_classes=2, classes=['ant'])


@pytest.mark.parametrize(
    ('kind', 'name', 'lines', 'classes'),
    [
        (ImageNetLT, 'ImageNet_LT_val', 20000, 1000),
        (ImageNetLT, 'ImageNet_LT_train.120classes', 16274, 120),
        (PlacesLT, 'Places_LT_train', 62500, 365),
        (INaturalist2018, 'iNaturalist18_val', 24426, 8142),
    ],
)
def test_official_lists_are_read_whole(real_data, kind, name, lines, classes):
    path = str(real_data / 'annotations' / f'{name}.txt')
    dataset = kind(path, check_files='none')
    labels = dataset.get_gt_labels()
    assert (len(dataset), len(set(labels.tolist()))) == (lines, classes)
    with gzip.open(f'{path}.gz', 'rt') as file:
        last = file.read().split('\n')[-2].split(' ')
    assert [dataset.get_data_info(lines - 1)['img_path'], str(labels[-1])] == last
