"""Shared fixtures. Real images are optional: name their folder in ``MMLT_TEST_DATA``."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def real_data() -> Path:
    """The folder with the CIFAR and ImageNet archives and the official lists."""
    root = Path(os.environ.get('MMLT_TEST_DATA', ''))
    if not os.environ.get('MMLT_TEST_DATA') or not root.is_dir():
        pytest.skip('real images are not here: set MMLT_TEST_DATA to the folder that holds them')
    return root
