"""What a printed number is of."""

import pytest
from mmengine.config import Config

import mmlt  # noqa: F401
from mmlt.datasets import DigitsLT, LongTailedDataset, describe_images, same_images, training_draw

TEST = dict(type='CIFAR100', data_root='data/cifar100', split='test', pipeline=[1])
TRAIN = dict(TEST, split='train')
SPLIT = dict(base='cifar100-lt-if100', val_fraction=0.1)
SHIFT = dict(base='cifar100-lt-if100', ratio=50, direction='backward', max_count=100)


def drawn(dataset, **options) -> dict:
    return (
        dict(type='LongTailedDataset', class_counts='cifar100-lt-if100', dataset=dataset) | options
    )


LIST = dict(type='ImageNetLT', data_root='data', ann_file='lists/test.txt', pipeline=[])


def joined(*parts) -> dict:
    return dict(type='ConcatDataset', datasets=list(parts))


def fold(number, test_mode=True) -> dict:
    return dict(type='KFoldDataset', fold=number, test_mode=test_mode, dataset=TRAIN)


@pytest.mark.parametrize(
    ('first', 'second', 'same'),
    [
        (TEST, TEST, True),
        (TEST, dict(TEST, pipeline=[2], lazy_init=True), True),
        (TEST, dict(TEST, data_root='data/cifar100/'), True),
        # The README's shifted test set: images of the test set all the same.
        (TEST, drawn(TEST, class_counts=SHIFT, split='first_n'), True),
        (drawn(dict(TEST, pipeline=[2])), drawn(TEST), True),
        (TEST, TRAIN, False),
        (TEST, drawn(TRAIN, class_counts=SPLIT, part='val'), False),
        (drawn(TRAIN, class_counts=SPLIT), drawn(TRAIN, class_counts=SPLIT, part='val'), False),
        (drawn(TRAIN), drawn(TRAIN, part='rest'), False),
        (drawn(TRAIN, part='rest'), drawn(TRAIN, part='rest'), True),
        (TEST, dict(TEST, type='CIFAR10'), False),
        (TEST, dict(TEST, type='mmpretrain.CIFAR100', test_mode=True), True),
        (LIST, dict(LIST, ann_file='./lists/test.txt', check_files='none'), True),
        (LIST, dict(LIST, ann_file='lists/val.txt'), False),
        (joined(TEST, LIST), joined(dict(TEST, pipeline=[2]), LIST), True),
        (joined(TEST, LIST), joined(TEST, TRAIN), False),
        (fold(0), fold(0), True),
        (fold(0), fold(1), False),
        (fold(0), fold(0, test_mode=False), False),
        (fold(0), TRAIN, True),
    ],
)
def test_other_transforms_and_draws_are_no_other_set(first, second, same):
    first, second = (Config(dict(dataset=part)).dataset for part in (first, second))
    assert same_images(first, second) == same_images(second, first) == same


@pytest.mark.parametrize(
    ('dataset', 'wanted'),
    [
        (TEST, 'CIFAR100, split test'),
        (drawn(TRAIN), 'CIFAR100, split train, cifar100-lt-if100'),
        (
            drawn(TRAIN, class_counts=SPLIT, part='val'),
            'CIFAR100, split train, part val of cifar100-lt-if100',
        ),
        (
            drawn(TRAIN, part='rest'),
            'CIFAR100, split train, what cifar100-lt-if100 leaves',
        ),
        (
            drawn(TEST, class_counts=SHIFT),
            'CIFAR100, split test, backward long tail of ratio 50',
        ),
        (
            dict(type='ImageNetLT', data_root='data', ann_file='lists/val.txt'),
            'ImageNetLT, list lists/val.txt',
        ),
        (
            dict(type='CustomDataset', data_root='data/cifar100', data_prefix='test'),
            'CustomDataset, data/cifar100/test',
        ),
        (joined(TEST, LIST), 'CIFAR100, split test and ImageNetLT, list lists/test.txt'),
        (fold(2), 'CIFAR100, split train, fold 2 of 5'),
        (fold(2, test_mode=False), 'CIFAR100, split train, all but fold 2 of 5'),
    ],
)
def test_a_line_names_the_images(dataset, wanted):
    assert describe_images(dataset) == wanted


def test_a_draw_has_the_name_of_its_images():
    def draw(counts='digits-lt-if50', **options):
        return training_draw(LongTailedDataset(DigitsLT('train'), counts, **options))

    assert draw() == draw() == LongTailedDataset(DigitsLT('train'), 'digits-lt-if50').split_hash
    names = {draw(), draw(split='first_n'), draw(seed=1), draw('digits-lt-if20')}
    assert len(names) == 4
    assert training_draw(DigitsLT('train')) != training_draw(DigitsLT('test'))
