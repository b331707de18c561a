"""The check of the mm stack's versions, which comes before anything imports it."""

import importlib.machinery
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmlt import compat

REPO = Path(compat.__file__).parents[1]


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """Make a stack of packages and distributions that stand in the way of the real one."""

    def make(distributions, **modules):
        for name, text in modules.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / '__init__.py').write_text('raise RuntimeError("was imported")')
            (tmp_path / name / 'version.py').write_text(text)
        paths = [str(tmp_path)] if modules else []
        finder = importlib.machinery.PathFinder

        def find_spec(name):
            return finder.find_spec(name, paths)

        def version(name):
            if name not in distributions:
                raise importlib.metadata.PackageNotFoundError(name)
            return distributions[name]

        monkeypatch.setattr(importlib.util, 'find_spec', find_spec)
        monkeypatch.setattr(importlib.metadata, 'version', version)

    return make


def written(mmengine='0.10.7', mmcv='2.2.0', mmpretrain='1.2.0', **distributions):
    """The stack of OpenMMLab, or parts of it."""
    modules = {'mmengine': mmengine, 'mmcv': mmcv, 'mmpretrain': mmpretrain}
    modules = {name: f"__version__ = '{v}'\n" for name, v in modules.items() if v is not None}
    names = {'mmengine': mmengine, 'mmcv-lite': mmcv, 'mmpretrain': mmpretrain}
    names = {name: version for name, version in names.items() if version is not None}
    return names | distributions, modules


@pytest.mark.parametrize(
    'versions',
    [
        {},
        {'mmengine': '0.10.8.post1', 'mmcv': '2.2', 'mmpretrain': '1.2.9'},
        {'mmengine': '0.11.0rc3'},
        {'mmengine': '0.11.0', 'mmcv': '2.3.1'},
    ],
)
def test_tested_versions_are_accepted(stack, versions):
    distributions, modules = written(**versions)
    stack(distributions, **modules)
    assert compat.check_mm_stack() is None


def test_the_onedl_distributions_are_accepted_by_their_modules(stack):
    versions = {'mmengine': '0.10.12', 'mmcv': '2.3.6', 'mmpretrain': '1.3.6'}
    texts = {
        name: f"from importlib.metadata import version\n\n__version__ = version('onedl-{name}')\n"
        for name in versions
    }
    stack({f'onedl-{name}': version for name, version in versions.items()}, **texts)
    assert compat.check_mm_stack() is None


@pytest.mark.parametrize(
    ('versions', 'install'),
    [
        ({'mmcv': None}, "pip install 'mmlt[lite]'"),
        ({'mmengine': None}, "pip install 'mmlt[lite]'"),
        ({'mmcv': '2.1.0'}, "pip install 'mmcv-lite>=2.2.0,<2.4'"),
        ({'mmengine': '0.12.0'}, "pip install 'mmengine>=0.10.7,<0.12'"),
        ({'mmengine': '0.10.6'}, "pip install 'mmengine>=0.10.7,<0.12'"),
        ({'mmpretrain': '1.1.1'}, "pip install 'mmpretrain>=1.2.0,<1.4'"),
    ],
)
def test_other_versions_are_refused_in_one_line(stack, versions, install):
    distributions, modules = written(**versions)
    stack(distributions, **modules)
    with pytest.raises(ImportError, match=re.escape(install)) as caught:
        compat.check_mm_stack()
    assert '\n' not in str(caught.value)
    found = next(iter(versions.values()))
    assert str(found) in str(caught.value)


@pytest.mark.parametrize(
    ('more', 'cure'),
    [
        (
            {'onedl-mmengine': '0.10.12'},
            'by mmengine 0.10.7 and onedl-mmengine 0.10.12, over each other: pip uninstall -y '
            "mmengine onedl-mmengine, then pip install 'mmengine>=0.10.7,<0.12'",
        ),
        (
            {'mmcv-full': '2.2.0'},
            "pip uninstall -y mmcv-lite mmcv-full, then pip install 'mmcv-lite>=",
        ),
        ({'onedl-mmpretrain': '1.3.6'}, 'pip uninstall -y mmpretrain onedl-mmpretrain, then'),
    ],
)
def test_two_distributions_over_each_other_are_refused_with_the_cure(stack, more, cure):
    distributions, modules = written(**more)
    stack(distributions, **modules)
    with pytest.raises(ImportError, match=re.escape(cure)) as caught:
        compat.check_mm_stack()
    assert '\n' not in str(caught.value)


def test_setup_requires_the_ranges_that_are_checked():
    text = (REPO / 'setup.py').read_text(encoding='utf-8')
    for name, (first, last, distributions) in compat.SUPPORTED.items():
        for distribution in distributions:
            if distribution in ('mmengine-lite', 'mmcv-full'):
                continue  # accepted, not asked for
            lowest = r'[\d.]+' if distribution.startswith('onedl') else re.escape(first)
            assert re.search(rf"'{distribution}>={lowest},<{re.escape(last)}'", text), name


def test_checking_imports_no_mm_package():
    source = (
        'import importlib.util, sys\n'
        f'spec = importlib.util.spec_from_file_location("compat", {compat.__file__!r})\n'
        'module = importlib.util.module_from_spec(spec)\n'
        'spec.loader.exec_module(module)\n'
        'module.check_mm_stack()\n'
        'heavy = {"torch", "numpy", "mmengine", "mmcv", "mmpretrain"} & set(sys.modules)\n'
        'sys.exit(str(heavy) if heavy else 0)\n'
    )
    done = subprocess.run([sys.executable, '-c', source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
