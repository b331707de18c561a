"""The check of the mm stack's versions, which comes before anything imports it."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmlt import compat

REPO = Path(compat.__file__).parents[1]


def fake_versions(monkeypatch, **changes):
    versions = {'mmengine': '0.10.7', 'mmcv-lite': '2.2.0', 'mmpretrain': '1.2.0'}
    versions.update({name.replace('_', '-'): version for name, version in changes.items()})

    def version(name):
        if versions.get(name) is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, 'version', version)


@pytest.mark.parametrize(
    'versions',
    [
        {},
        {'mmcv': '2.2.0', 'mmcv_lite': None},
        {'mmengine': '0.10.8.post1', 'mmcv_lite': '2.2', 'mmpretrain': '1.2.9'},
    ],
)
def test_tested_versions_are_accepted(monkeypatch, versions):
    fake_versions(monkeypatch, **versions)
    assert compat.check_mm_stack() is None


@pytest.mark.parametrize(
    ('versions', 'install'),
    [
        ({'mmcv_lite': None}, "pip install 'mmlt[lite]'"),
        ({'mmcv_lite': '2.1.0'}, "pip install 'mmcv-lite>=2.2.0,<2.3'"),
        ({'mmcv': '2.1.0', 'mmcv_lite': None}, "pip install 'mmcv>=2.2.0,<2.3'"),
        ({'mmengine': None}, "pip install 'mmengine>=0.10.7,<0.11'"),
        ({'mmengine': '0.11.0'}, "pip install 'mmengine>=0.10.7,<0.11'"),
        ({'mmpretrain': '1.1.1'}, "pip install 'mmpretrain>=1.2.0,<1.3'"),
    ],
)
def test_other_versions_are_refused_in_one_line(monkeypatch, versions, install):
    fake_versions(monkeypatch, **versions)
    with pytest.raises(ImportError, match=re.escape(install)) as caught:
        compat.check_mm_stack()
    assert '\n' not in str(caught.value)
    found = next(iter(versions.values()))
    assert str(found) in str(caught.value)


def test_setup_requires_the_ranges_that_are_checked():
    text = (REPO / 'setup.py').read_text(encoding='utf-8')
    for name, (first, last) in compat.SUPPORTED.items():
        assert f"'{name}>={first},<{last}'" in text


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
