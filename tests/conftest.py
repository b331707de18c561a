"""Shared fixtures. Real images are optional: name their folder in ``MMLT_TEST_DATA``."""

import os
from pathlib import Path

if 'PYTEST_XDIST_WORKER' in os.environ:
    # As many workers as cores: one thread each. Read when torch is imported, so before that.
    os.environ.setdefault('OMP_NUM_THREADS', '1')

import hypothesis
import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

# A busy machine is no fault of a test.
hypothesis.settings.register_profile('mmlt', deadline=None)
hypothesis.settings.load_profile('mmlt')


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """``-n`` hands out whole modules, in order: what they share is set up once."""
    if config.getvalue('dist') != 'load':
        return None  # the user's own choice
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False
    return LoadScopeScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """``-n auto``: a worker takes 2 GB of memory, so not one for each of very many cores."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 2, 8)


def pytest_collection_modifyitems(items):
    """The longest first: the tools start processes, and a module is one worker's."""
    items.sort(key=lambda item: 'tools' not in item.path.parts)


def pytest_addoption(parser):
    """Pressure by choice: ``pytest --kills 100``."""
    parser.addoption('--kills', type=int, default=10, help='kills of a run (default 10)')


@pytest.fixture(autouse=True)
def own_default_scope():
    """Forget the default scope that a Runner of another test set for the whole process."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture
def messages(caplog):
    """What is logged from here on, as a function."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [record.getMessage() for record in caplog.records]
    logger.removeHandler(caplog.handler)


@pytest.fixture(scope='session')
def real_data() -> Path:
    """The folder with the CIFAR and ImageNet archives and the official lists."""
    root = Path(os.environ.get('MMLT_TEST_DATA', ''))
    if not os.environ.get('MMLT_TEST_DATA') or not root.is_dir():
        pytest.skip('real images are not here: set MMLT_TEST_DATA to the folder that holds them')
    return root
