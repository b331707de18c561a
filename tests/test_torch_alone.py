"""``mmlt.functional`` where torch is all there is, and what a missing or broken mm stack says."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mmlt

REPO = Path(mmlt.__file__).parents[1]
NO_STACK = (
    "mmlt needs mmengine >= 0.10.7, < 0.12, found None: pip install 'mmlt[lite]' "
    '(or mmlt[full], mmlt[onedl])'
)


def requirements(name, found=None):
    """The distribution and all that it requires here."""
    found = {} if found is None else found
    if name not in found:
        found[name] = importlib.metadata.distribution(name)
        for line in found[name].requires or ():
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({'extra': ''}):
                requirements(required.name, found)
    return found


@pytest.fixture(scope='module')
def torch_alone(tmp_path_factory):
    """A folder of packages with torch and what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp('site')
    for distribution in requirements('torch').values():
        site = Path(distribution.locate_file(''))
        for name in {file.parts[0] for file in distribution.files} - {'..', '__pycache__'}:
            if not (folder / name).exists() and (site / name).exists():
                (folder / name).symlink_to(site / name)
    assert not list(folder.glob('numpy*'))
    assert not list(folder.glob('mm*'))
    return folder


def run(source, *folders):
    """Run a script that sees these folders, this package and the standard library only."""
    path = [str(folder) for folder in (*folders, REPO)]
    source = f'import sys\nsys.path[:0] = {path}\n{source}'
    # -I and -S: no site-packages, no working folder, nothing of the environment.
    command = [sys.executable, '-I', '-S', '-W', 'ignore', '-c', source]
    return subprocess.run(command, capture_output=True, text=True, cwd='/')


def test_the_functional_core_needs_torch_alone(torch_alone):
    done = run(
        'import importlib.util\n'
        "for name in ('numpy', 'mmengine', 'mmcv', 'mmpretrain', 'matplotlib'):\n"
        '    assert importlib.util.find_spec(name) is None, name\n'
        'import mmlt.functional as func\n'
        'from mmlt.functional import *\n'
        'import torch\n'
        'weight = torch.eye(3, requires_grad=True)\n'
        'labels = torch.tensor([0, 1, 2, 2])\n'
        'logits = weight[labels] @ weight.T\n'
        'loss = sigmoid_pair_loss(logits, labels) + softmax_uniform_loss(weight, chunk_size=2)\n'
        'loss.backward()\n'
        'measures = neural_collapse(logits, labels, weight)\n'
        'print(weight.grad.isfinite().all().item(), len(measures), len(func.__all__))\n'
        'from mmlt import load_class_counts\n'
        "print(sum(load_class_counts('cifar100-lt-if100')))\n"
        "print([name for name in ('numpy', 'mmengine') if name in sys.modules])\n",
        torch_alone,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split('\n')[:3] == [
        f'True 9 {len(mmlt.functional.__all__)}',
        '10847',
        '[]',
    ]


def write_distribution(folder, name, version=None, module=True):
    """A package that says which version it is, or that does not."""
    if module:
        (folder / name).mkdir()
        (folder / name / '__init__.py').write_text("raise SystemExit('must not be imported')\n")
        if version is not None:
            (folder / name / 'version.py').write_text(f"__version__ = '{version}'\n")
    if version is not None:
        record = folder / f'{name}-{version}.dist-info'
        record.mkdir()
        (record / 'METADATA').write_text(f'Name: {name}\nVersion: {version}\n')


def test_what_needs_the_stack_says_what_to_install(torch_alone, tmp_path):
    for name, version in (('mmengine', '0.10.7'), ('mmcv', '2.2.0'), ('mmpretrain', '1.2.0')):
        write_distribution(tmp_path, name, version)
    statements = (
        'import mmlt.models',
        'import mmlt.models.heads.bce3s_head',
        'from mmlt import datasets',
        'from mmlt.evaluation import ShotAccuracy',
        'import mmlt; mmlt.engine',
        'from mmlt.functional import GeometryStatistics',
        f'sys.path.insert(0, {str(tmp_path)!r}); import mmlt.models',  # installed meanwhile
    )
    done = run(
        f'for statement in {statements}:\n'
        '    try:\n'
        '        exec(statement)\n'
        '    except ImportError as error:\n'
        '        print(error)\n',
        torch_alone,
    )
    assert done.returncode == 0, done.stderr
    *without, later = done.stdout.splitlines()
    assert without == [NO_STACK] * (len(statements) - 1)
    assert later == 'mmlt.models: the mm stack came after mmlt was imported, start anew'


@pytest.mark.parametrize(
    ('packages', 'message'),
    [
        # A part of the stack: the rest is what is named.
        ([('mmengine', '0.10.7')], 'mmlt needs mmcv-lite .* found None'),
        ([('mmcv', '2.2.0')], 'mmlt needs mmengine .* found None'),
        # A wrong version.
        ([('mmengine', '0.9.0')], 'mmlt needs mmengine .* found 0.9.0'),
        # A source folder without a record, and a record whose package was deleted.
        ([('mmpretrain', None)], 'mmlt needs mmengine .* found None'),
        ([('mmpretrain', '1.2.0', False)], 'mmlt needs mmengine .* found None'),
    ],
)
@pytest.mark.parametrize('statement', ['import mmlt', 'from mmlt.functional import shot_groups'])
def test_a_broken_stack_is_never_silent(packages, message, statement, tmp_path):
    # torch is not in reach either: the refusal comes before anything that takes seconds.
    for package in packages:
        write_distribution(tmp_path, *package)
    done = run(statement, tmp_path)
    assert done.returncode != 0
    assert re.fullmatch(f'ImportError: {message}.*', done.stderr.splitlines()[-1])
