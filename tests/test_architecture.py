"""Imports run downward only: read from the source, nothing is executed."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A part of the package may import itself and the parts on lower levels. The package's own
# ``__init__`` stands above them all: it imports everything to register it.
LEVELS = {
    'functional': 0,
    'class_counts': 1,
    'files': 0,
    'processes': 0,
    'mends': 0,
    'commands': 0,
    'safe_pickle': 0,
    'checkpoint': 1,
    'registry': 0,
    'utils': 0,
    'compat': 1,
    'config_class_counts': 2,
    'config_file': 1,
    'models': 2,
    'clip': 2,
    'datasets': 2,
    'evaluation': 2,
    'engine': 3,
    'visualization': 3,
    'analysis': 4,
    'deployment': 4,
    'reproduction': 4,
    '__init__': 5,
    '__main__': 5,
}
PACKAGE = sorted((ROOT / 'mmlt').rglob('*.py'))
REFERENCE = sorted((ROOT / 'tests' / 'reference').glob('*.py'))


def imported_names(path: Path, root: Path = ROOT) -> set[str]:
    """Absolute dotted names, as deep as the import statement alone can tell.

    ``from a import b`` counts as ``a.b``, since b may be a module.
    """
    package = path.relative_to(root).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += (node.module,) if node.module else ()
            names.update('.'.join((*base, alias.name)) for alias in node.names)
    return names


def part_of(name: str) -> str:
    """The part of the package a dotted name belongs to: ``mmlt.models.heads`` -> ``models``."""
    parts = name.split('.')
    return parts[1] if len(parts) > 1 and parts[1] in LEVELS else '__init__'


def faults(path: Path, root: Path = ROOT) -> list[str]:
    """The imports of a file of the package that its level forbids."""
    first = path.relative_to(root / 'mmlt').parts[0]
    own = first.removesuffix('.py')
    found = []
    for name in sorted(imported_names(path, root)):
        top = name.split('.')[0]
        if top in ('tests', 'tools', 'configs'):
            found.append(f'{name}: the package imports nothing that is not shipped with it')
        elif top == 'mmlt':
            part = part_of(name)
            if part != own and LEVELS[part] >= LEVELS[own]:
                found.append(f'{name}: {part} is not below {own}')
        elif own == 'functional' and top != 'torch' and top not in sys.stdlib_module_names:
            found.append(f'{name}: functional is torch and the standard library only')
    return found


def test_every_part_of_the_package_has_a_level():
    parts = {path.relative_to(ROOT / 'mmlt').parts[0].removesuffix('.py') for path in PACKAGE}
    assert {'functional', '__init__'} <= parts <= set(LEVELS)


@pytest.mark.parametrize('path', PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path):
    assert faults(path) == []


@pytest.mark.parametrize('path', REFERENCE, ids=lambda path: path.name)
def test_the_reference_imports_nothing_of_the_package(path):
    assert {name for name in imported_names(path) if name.split('.')[0] == 'mmlt'} == set()


@pytest.mark.parametrize(
    ('file', 'source', 'wanted'),
    [
        ('functional/a.py', 'import math, torch.nn.functional as F', []),
        ('functional/a.py', 'from .b import c\nfrom mmlt.functional.b import d', []),
        ('functional/a.py', 'import numpy as np', ['numpy']),
        ('functional/a.py', 'def f():\n    from mmengine.dist import get_rank', ['mmengine']),
        ('functional/a.py', 'from ..class_counts import load', ['mmlt.class_counts']),
        ('class_counts.py', 'from .functional import step_class_counts', []),
        ('models/heads/a.py', 'from mmlt import functional, compat', []),
        ('models/heads/a.py', 'from ..necks import b\nfrom ...functional import c', []),
        ('models/heads/a.py', 'from ...engine import hooks', ['mmlt.engine']),
        ('datasets/a.py', 'from mmlt import engine', ['mmlt.engine']),
        ('datasets/a.py', 'import mmlt', ['mmlt']),
        ('evaluation/a.py', 'from mmlt.visualization.b import c', ['mmlt.visualization']),
        ('evaluation/a.py', 'import tests.reference.bce3s', ['tests']),
        ('engine/hooks/a.py', 'from mmlt.models import heads\nimport numpy', []),
        ('__init__.py', 'from mmlt import engine, models', []),
    ],
)
def test_the_check_itself(file, source, wanted, tmp_path):
    path = tmp_path / 'mmlt' / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding='utf-8')
    found = faults(path, tmp_path)
    assert len(found) == len(wanted)
    assert all(fault.startswith(name) for fault, name in zip(found, wanted))
