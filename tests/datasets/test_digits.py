import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from sklearn.datasets import load_digits

from mmlt.datasets import DigitsLT


def rows(dataset):
    return {dataset.get_data_info(i)['img'].tobytes() for i in range(len(dataset))}


def test_split_is_stratified_disjoint_and_complete():
    train, test = DigitsLT('train'), DigitsLT('test')
    sizes = np.bincount(load_digits().target)
    assert np.bincount(test.get_gt_labels()).tolist() == [60] * 10
    assert np.bincount(train.get_gt_labels()).tolist() == (sizes - 60).tolist()
    assert (sizes - 60).min() == 114  # the constant behind 'digits-lt-if50'
    assert not rows(train) & rows(test)


def test_images_are_the_scaled_grey_levels():
    test = DigitsLT('test')
    known = {
        (round_half_even(image).tobytes(), int(label))
        for image, label in zip(load_digits().images, load_digits().target)
    }
    for i in range(0, len(test), 37):
        info = test.get_data_info(i)
        assert info['img'].shape == (8, 8, 3)
        assert info['img'].dtype == np.uint8
        assert (info['img'][..., :1] == info['img']).all()
        assert (info['img'][..., 0].tobytes(), info['gt_label']) in known


def round_half_even(image):
    return np.array([[round(v * 255 / 16) for v in row] for row in image.tolist()], np.uint8)


def test_same_seed_same_split_other_seed_other_split():
    assert rows(DigitsLT('test')) == rows(DigitsLT('test', seed=0))
    assert rows(DigitsLT('test')) != rows(DigitsLT('test', seed=1))


def test_builds_from_a_config_and_feeds_a_pipeline():
    pipeline = [{'type': 'Resize', 'scale': 16}, {'type': 'PackInputs'}]
    dataset = DATASETS.build(
        {'type': 'DigitsLT', 'split': 'test', 'pipeline': pipeline, 'test_mode': True}
    )
    sample = dataset[0]
    assert sample['inputs'].shape == (3, 16, 16)
    assert sample['data_samples'].gt_label.item() == dataset.get_gt_labels()[0]
    assert tuple('0123456789') == dataset.CLASSES
    assert 'Split: \ttest (seed 0)' in repr(dataset)


def test_unknown_split_is_named():
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'val'"):
        DigitsLT('val')
