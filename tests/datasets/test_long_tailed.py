import hashlib
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import CIFAR10, CustomDataset
from mmpretrain.engine.hooks import SwitchRecipeHook
from mmpretrain.registry import DATASETS

from mmlt.class_counts import load_class_counts, load_validation_counts
from mmlt.datasets import DigitsLT, ImageNetLT, LongTailedDataset
from mmlt.functional import exponential_class_counts

COUNTS = [40, 12, 9, 7, 5, 4, 3, 2, 2, 1]
DIGITS_CONFIG = Path(__file__).parents[2] / 'configs/bce3s/resnet20_digits-lt.py'


def pixels(dataset):
    return [dataset.get_data_info(i)['img'].tobytes() for i in range(len(dataset))]


@pytest.fixture
def pickled_cifar(tmp_path, monkeypatch):
    """CIFAR-10's file format with random pixels: 5 x 400 training images, shuffled labels."""
    rng = np.random.default_rng(1)
    folder = tmp_path / 'cifar-10-batches-py'
    folder.mkdir()
    for name in [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']:
        data = rng.integers(0, 256, (400, 3072), dtype=np.uint8)
        entry = {'data': data, 'labels': rng.permutation(np.arange(400) % 10).tolist()}
        (folder / name).write_bytes(pickle.dumps(entry))
    monkeypatch.setattr(CIFAR10, 'train_list', [[n, None] for n, _ in CIFAR10.train_list])
    monkeypatch.setattr(CIFAR10, 'test_list', [['test_batch', None]])
    return tmp_path


@pytest.fixture
def image_folder(tmp_path):
    rng = np.random.default_rng(2)
    for name, count in (('cat', 6), ('dog', 4)):
        (tmp_path / name).mkdir()
        for i in range(count):
            image = rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / name / f'{i}.png'), image)
    return tmp_path


def ldam_draw(labels, counts):
    """The released draw, on numpy's global stream, one class after the other."""
    np.random.seed(0)
    chosen = []
    for k, n in enumerate(counts):
        members = np.array([i for i, label in enumerate(labels) if label == k])
        np.random.shuffle(members)
        chosen += [int(i) for i in members[:n]]
    return chosen


def test_ldam_split_equals_the_released_draw_on_cifar_pickles(pickled_cifar):
    base = CIFAR10(data_root=str(pickled_cifar), split='train')
    counts = [int(200 * (1 / 100) ** (k / 9)) for k in range(10)]
    dataset = LongTailedDataset(
        {'type': 'CIFAR10', 'data_root': str(pickled_cifar), 'split': 'train'}, counts
    )
    expected = ldam_draw(base.get_gt_labels(), counts)
    assert dataset.indices == expected
    all_pixels = pixels(base)
    assert pixels(dataset) == [all_pixels[i] for i in expected]


def test_first_n_keeps_the_first_in_file_order():
    labels = DigitsLT('train').get_gt_labels().tolist()
    expected = []
    for k, n in enumerate(COUNTS):
        expected += [i for i, label in enumerate(labels) if label == k][:n]
    assert LongTailedDataset(DigitsLT('train'), COUNTS, split='first_n').indices == expected


@pytest.mark.parametrize('serialize', [True, False])
def test_labels_counts_and_hash_agree(serialize):
    config = {'type': 'DigitsLT', 'serialize_data': serialize}
    dataset = DATASETS.build(
        {'type': 'LongTailedDataset', 'dataset': config, 'class_counts': COUNTS}
    )
    labels = [dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))]
    assert np.bincount(labels).tolist() == COUNTS == dataset.class_counts
    assert dataset.get_gt_labels().tolist() == labels
    assert [dataset.get_cat_ids(i) for i in range(len(dataset))] == [[n] for n in labels]
    raw = b''.join(i.to_bytes(8, 'little') for i in dataset.indices)
    assert dataset.split_hash == hashlib.sha256(raw).hexdigest()[:12]


def test_splits_and_seeds_have_different_hashes():
    base = DigitsLT('train')
    variants = [{}, {'seed': 1}, {'split': 'first_n'}]
    hashes = {LongTailedDataset(base, COUNTS, **v).split_hash for v in variants}
    assert len(hashes) == 3
    assert LongTailedDataset(base, COUNTS).split_hash in hashes
    assert len(base) == 1197  # the wrapped instance is left as it was


def test_digits_split_is_pinned():
    # A changed hash means that published numbers of the digits recipe no longer apply.
    dataset = LongTailedDataset(DigitsLT('train'), 'digits-lt-if50')
    assert (len(dataset), dataset.split_hash) == (314, 'dbebd5a3a217')


def test_lazy_init_reads_nothing_until_needed():
    dataset = LongTailedDataset({'type': 'DigitsLT', 'lazy_init': True}, COUNTS)
    assert 'not initialised' in repr(dataset)
    assert dataset.metainfo['classes'] == tuple('0123456789')
    assert not hasattr(dataset, 'split_hash')
    assert len(dataset) == sum(COUNTS)
    assert f'{sum(COUNTS)} images, split ldam (seed 0)' in repr(dataset)


def test_runner_loads_it_with_workers_and_the_default_sampler(image_folder):
    dataset = {'type': 'CustomDataset', 'data_root': str(image_folder)}
    dataset['pipeline'] = [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}]
    config = {
        'batch_size': 3,
        'num_workers': 2,
        'dataset': {'type': 'LongTailedDataset', 'dataset': dataset, 'class_counts': [4, 2]},
        'sampler': {'type': 'DefaultSampler', 'shuffle': True},
        'collate_fn': {'type': 'default_collate'},
    }
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = Runner.build_dataloader(config, seed=0)
    labels = torch.cat([s.gt_label for b in loader for s in b['data_samples']])
    assert labels.bincount().tolist() == [4, 2]
    assert loader.dataset.CLASSES == ('cat', 'dog')
    assert loader.dataset.class_to_idx == {'cat': 0, 'dog': 1}


def test_pipeline_switches_reach_the_wrapped_dataset():
    dataset = LongTailedDataset(DigitsLT('train'), COUNTS)
    runner = type('Runner', (), {})()
    runner.train_loop = type('Loop', (), {})()
    runner.train_loop.dataloader = torch.utils.data.DataLoader(dataset, collate_fn=pseudo_collate)
    pipeline = Compose([lambda info: info['gt_label'] + 100])
    SwitchRecipeHook._switch_train_pipeline(runner, pipeline)
    assert dataset[0] == 100
    assert dataset.pipeline is dataset.dataset.pipeline is pipeline


def both_parts(base, counts=COUNTS, fraction=0.2, **options):
    spec = {'base': counts, 'val_fraction': fraction}
    return [LongTailedDataset(base, spec, part=part, **options) for part in ('train', 'val')]


@pytest.mark.parametrize('options', [{}, {'seed': 3}, {'split': 'first_n'}])
@pytest.mark.parametrize('fraction', [0.1, 0.5, 0.9])
def test_parts_are_disjoint_and_together_the_draw_of_the_base(fraction, options):
    base = DigitsLT('train')
    whole = LongTailedDataset(base, COUNTS, **options)
    train, val = both_parts(base, fraction=fraction, **options)
    assert not set(train.indices) & set(val.indices)
    assert set(train.indices) | set(val.indices) == set(whole.indices)
    assert train.draw_hash == val.draw_hash == whole.draw_hash == whole.split_hash
    assert len({whole.split_hash, train.split_hash, val.split_hash}) == 3
    drawn = np.split(np.array(whole.indices), np.cumsum(COUNTS)[:-1])
    wanted = load_validation_counts({'base': COUNTS, 'val_fraction': fraction})
    first = [images[: len(images) - v].tolist() for images, v in zip(drawn, wanted)]
    assert train.indices == sum(first, [])
    assert val.indices == [i for i in whole.indices if i not in set(train.indices)]


@pytest.mark.parametrize('part', [0, 1], ids=['train', 'val'])
def test_labels_of_a_part_are_those_of_its_images(part):
    dataset = both_parts(DigitsLT('train'))[part]
    labels = [dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))]
    assert dataset.get_gt_labels().tolist() == labels
    assert np.bincount(labels, minlength=10).tolist() == dataset.class_counts
    validation = load_validation_counts({'base': COUNTS, 'val_fraction': 0.2})
    assert validation == [8, 2, 2, 1, 1, 1, 1, 0, 0, 0]
    training = [n - v for n, v in zip(COUNTS, validation)]
    assert dataset.class_counts == [training, validation][part]
    assert both_parts(DigitsLT('train'))[part].indices == dataset.indices


@pytest.mark.parametrize('options', [{}, {'seed': 3}, {'split': 'first_n'}])
def test_the_rest_is_what_no_part_takes(options):
    base = DigitsLT('train')
    whole = LongTailedDataset(base, COUNTS, **options)
    rest = LongTailedDataset(base, COUNTS, part='rest', **options)
    assert sorted(rest.indices + whole.indices) == list(range(len(base)))
    labels = [rest.get_data_info(i)['gt_label'] for i in range(len(rest))]
    assert rest.get_gt_labels().tolist() == labels
    sizes = np.bincount(base.get_gt_labels())
    assert rest.class_counts == (sizes - COUNTS).tolist() == np.bincount(labels).tolist()
    # With a validation part, it is neither's; and it is the same each time.
    spec = {'base': COUNTS, 'val_fraction': 0.2}
    again = LongTailedDataset(base, spec, part='rest', **options)
    assert again.indices == rest.indices
    assert again.split_hash != again.draw_hash == whole.split_hash


def test_the_rest_of_the_digits_is_neither_trained_on_nor_tested():
    train, rest = (
        LongTailedDataset(
            {'type': 'DigitsLT'}, 'digits-lt-if50', part=part, lazy_init=part == 'rest'
        )
        for part in ('train', 'rest')
    )
    rest.full_init()
    assert (len(rest), rest.split_hash) == (883, '1ed5ae765a11')
    assert rest.class_counts == [4, 49, 70, 93, 101, 110, 113, 114, 111, 118]
    seen = [set(pixels(dataset)) for dataset in (train, rest, DigitsLT('test'))]
    assert not seen[1] & (seen[0] | seen[2])
    assert 'part rest' in repr(rest)


def test_a_draw_that_takes_all_leaves_no_rest():
    everything = np.bincount(DigitsLT('train').get_gt_labels()).tolist()
    with pytest.raises(ValueError, match="part='rest' has no images: the draw takes them all"):
        LongTailedDataset(DigitsLT('train'), everything, part='rest')


def test_the_log_of_a_draw_without_parts_names_none(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmlt.datasets.long_tailed.print_log', lambda line, **kwargs: lines.append(line)
    )
    whole = LongTailedDataset(DigitsLT('train'), 'digits-lt-if50')
    train, val = both_parts(DigitsLT('train'), 'digits-lt-if50')
    assert lines[0] == (
        'LongTailedDataset: 314 of 1197 images, 10 classes of 114 to 2, split ldam (seed 0), '
        'hash dbebd5a3a217'
    )
    assert lines[1].endswith(f'part train, hash {train.split_hash} of {whole.split_hash}')
    assert lines[2].endswith(f'part val, hash {val.split_hash} of {whole.split_hash}')


def test_a_list_that_is_long_tailed_already_is_split_by_wrapping_it(tmp_path):
    counts = [6, 3, 1]
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], counts))
    (tmp_path / 'list.txt').write_text(''.join(f'{i}.jpg {k}\n' for i, k in enumerate(labels)))
    base = ImageNetLT(str(tmp_path / 'list.txt'), num_classes=3, check_files='none')
    train, val = both_parts(base, counts, 0.3)
    assert (train.class_counts, val.class_counts) == ([4, 2, 1], [2, 1, 0])
    assert sorted(train.indices + val.indices) == list(range(10))
    infos = [part.get_data_info(i) for part in (train, val) for i in range(len(part))]
    assert all(labels[int(i['img_path'].split('.')[0])] == i['gt_label'] for i in infos)


def test_a_run_validates_on_its_own_part_and_tests_on_the_test_set(tmp_path):
    spec = {'base': 'digits-lt-if50', 'val_fraction': 0.2}
    cfg = Config.fromfile(DIGITS_CONFIG)
    train = cfg.train_dataloader.dataset
    train.class_counts = cfg.model.head.class_counts = spec
    cfg.val_evaluator.class_counts = cfg.test_evaluator.class_counts = spec
    inner = {**train.dataset, 'pipeline': cfg.test_pipeline}
    cfg.val_dataloader.dataset = {**train, 'part': 'val', 'dataset': inner}
    cfg.train_cfg = {'by_epoch': True, 'max_epochs': 1, 'val_interval': 1}
    cfg.param_scheduler = []
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = tmp_path.name
    runner = Runner.from_cfg(cfg)
    runner.train()
    sets = [runner.train_dataloader.dataset, runner.val_dataloader.dataset]
    counts = [load_class_counts(spec), load_validation_counts(spec)]
    assert [dataset.class_counts for dataset in sets] == counts
    assert runner.model.head.class_counts.tolist() == counts[0]
    assert not set(sets[0].indices) & set(sets[1].indices)
    assert runner.message_hub.get_scalar('val/shot/all').current() >= 0
    assert runner.val_evaluator.metrics[0].class_counts == counts[0]
    assert runner.test()['shot/all'] >= 0
    assert len(runner.test_dataloader.dataset) == 600


@pytest.mark.parametrize(
    ('direction', 'wanted'),
    [
        ('forward', exponential_class_counts(10, 60, 50)),
        ('backward', exponential_class_counts(10, 60, 50)[::-1]),
        ('uniform', [60] * 10),
    ],
)
def test_a_balanced_test_set_gets_a_shifted_prior(direction, wanted):
    spec = {'base': 'digits-lt-if50', 'ratio': 50, 'direction': direction, 'max_count': 60}
    dataset = LongTailedDataset(DigitsLT('test'), spec, split='first_n')
    assert np.bincount(dataset.get_gt_labels()).tolist() == wanted
    assert dataset.draw_hash == dataset.split_hash


@pytest.mark.parametrize(
    ('counts', 'part', 'message'),
    [
        (COUNTS, 'val', "part='val' has no images: class_counts must be dict.*val_fraction"),
        ({'base': [3] * 10, 'val_fraction': 0.1}, 'val', "part='val' has no images"),
        (COUNTS, 'test', "part must be one of .*'val'.*got 'test'"),
        ({'base': COUNTS, 'part': 'val'}, 'train', r"unknown are \['part'\]"),
    ],
)
def test_bad_parts_are_named(counts, part, message):
    with pytest.raises(ValueError, match=message):
        LongTailedDataset(DigitsLT('train'), counts, part=part)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'class_counts': [200] + [1] * 9}, r'200 images of class 0 \(0\), the dataset has 118'),
        ({'class_counts': [5, 4]}, 'class_counts has 2 classes, the dataset has 10'),
        ({'class_counts': COUNTS, 'split': 'glmc'}, "must be one of .*'ldam'.*got 'glmc'"),
        ({'class_counts': 'digits-lt'}, "unknown class_counts 'digits-lt'"),
    ],
)
def test_wrong_counts_or_split_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        LongTailedDataset(DigitsLT('train'), **kwargs)


def test_other_datasets_are_refused():
    with pytest.raises(TypeError, match='dataset must be .* got list'):
        LongTailedDataset([1, 2], COUNTS)


@pytest.mark.parametrize('content', [b'', b'<html>404</html>'])
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_broken_image_is_named(image_folder, content, backend):
    (image_folder / 'cat' / '0.png').write_bytes(content)
    load = [{'type': 'LoadImageFromFile', 'imdecode_backend': backend}]
    base = CustomDataset(data_root=str(image_folder), pipeline=load)
    dataset = LongTailedDataset(base, [6, 4], split='first_n')
    with pytest.raises(ValueError, match=rf'cat/0.png \({len(content)} bytes\) is broken'):
        dataset[0]
    assert dataset[1]['img'].shape == (9, 8, 3)
    (image_folder / 'cat' / '0.png').unlink()
    with pytest.raises(FileNotFoundError, match='image .*cat/0.png does not exist'):
        dataset[0]


def test_other_pipeline_errors_pass_through_with_the_path(image_folder):
    def fail(info):
        raise KeyError('no such key')

    dataset = LongTailedDataset(CustomDataset(data_root=str(image_folder), pipeline=[fail]), [6, 4])
    with pytest.raises(KeyError, match='no such key') as caught:
        dataset[0]
    assert 'while loading image' in caught.value.__notes__[0]


def test_missing_data_root_is_named_with_a_hint(tmp_path):
    gone = str(tmp_path / 'gone')
    for config in (
        {'type': 'CustomDataset', 'data_root': gone},
        {'type': 'CustomDataset', 'data_root': gone, 'lazy_init': True},
        {'type': 'CIFAR10', 'data_root': gone, 'download': False},
    ):
        with pytest.raises((FileNotFoundError, RuntimeError), match='gone') as caught:
            LongTailedDataset(config, 'cifar10-lt-if100').full_init()
        assert 'dataset_converters/README.md' in caught.value.__notes__[0]
