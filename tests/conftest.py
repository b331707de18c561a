"""Shared fixtures. Real images are optional: name their folder in ``MMLT_TEST_DATA``."""

import os
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope


def pytest_addoption(parser):
    """Pressure by choice: ``pytest --kills 100``."""
    parser.addoption('--kills', type=int, default=10, help='kills of a run (default 10)')


@pytest.fixture(autouse=True)
def own_default_scope():
    """Forget the default scope that a Runner of another test set for the whole process."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def real_data() -> Path:
    """The folder with the CIFAR and ImageNet archives and the official lists."""
    root = Path(os.environ.get('MMLT_TEST_DATA', ''))
    if not os.environ.get('MMLT_TEST_DATA') or not root.is_dir():
        pytest.skip('real images are not here: set MMLT_TEST_DATA to the folder that holds them')
    return root
