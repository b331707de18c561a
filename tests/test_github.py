"""What stands in .github: the guide's blocks run, the workflows ask for what setup.py allows."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmpretrain.registry import MODELS
from test_configs import train_one_step

import mmlt

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / '.github/CONTRIBUTING.md').read_text()


@pytest.fixture(scope='module')
def guide():
    """The names that the guide's slot and its test make, and its config."""
    slot, test, config = re.findall('```python\n(.*?)```', GUIDE, re.DOTALL)
    names = {'__name__': 'guide'}
    exec(slot, names)
    exec(test, names)
    yield names, config
    del MODELS._module_dict['CompactnessSlot']


def test_the_slot_of_the_guide_passes_its_tests(guide):
    tests = [value for name, value in guide[0].items() if name.startswith('test_')]
    assert len(tests) == 3
    torch.manual_seed(0)
    for test in tests:
        test()


def test_the_config_of_the_guide_trains_with_its_slot(guide, tmp_path):
    text = guide[1].replace("'../", f"'{ROOT}/configs/")
    (tmp_path / 'config.py').write_text(text)
    losses = train_one_step(Config.fromfile(tmp_path / 'config.py'))
    assert set(losses) == {'loss_joint', 'loss_contrast', 'loss_uniform', 'loss_compactness'}
    assert len(text.splitlines()) <= 40


def test_the_links_of_the_pages_lead_somewhere():
    pages = [ROOT / 'README.md', ROOT / 'configs/README.md', ROOT / 'tools/README.md']
    for page in [*pages, *(ROOT / '.github').glob('*.md')]:
        for link in re.findall(r'\]\((?!http)([^)#]+)\)', page.read_text()):
            assert (page.parent / link).exists(), f'{page.name}: {link}'


def test_the_changelog_has_this_version():
    assert f'\n## {mmlt.__version__}\n' in (ROOT / '.github/CHANGELOG.md').read_text()


def test_the_workflows_try_every_python_and_the_oldest_torch():
    setup = (ROOT / 'setup.py').read_text()
    folder = ROOT / '.github/workflows'
    jobs = yaml.safe_load((folder / 'tests.yml').read_text())['jobs']
    pythons = re.findall(r"Python :: (3\.\d+)'", setup)
    assert jobs['whole']['strategy']['matrix']['python'] == pythons
    assert jobs['whole']['steps'][-1]['run'] == '.ci/run'
    oldest = ' '.join(step.get('run', '') for step in jobs['oldest']['steps'])
    for name in ('torch', 'torchvision'):
        first = re.search(rf"'{name}>=([\d.]+)'", setup)[1]
        assert f'{name}=={first}.*' in oldest
    weekly = (folder / 'weekly.yml').read_text()
    assert set(yaml.safe_load(weekly)['jobs']) == {'matrix', 'stacks'}
    for tool in re.findall(r'tools/\S+\.py', weekly):
        assert (ROOT / tool).is_file()
    assert 'pytest -n auto -m slow' in weekly


def test_what_troubleshooting_quotes_is_printed():
    # Pieces of one message stand on lines of their own in the sources.
    code = '\n'.join(path.read_text() for path in (ROOT / 'mmlt').rglob('*.py'))
    code = re.sub(r"['\"]\s*\n\s*f?['\"]", '', code)
    code = re.sub(r'\{[^{}]*\}', '...', code)
    page = (ROOT / '.github/TROUBLESHOOTING.md').read_text()
    theirs = (
        'operator torchvision', "No module named 'pkg_resources'", 'mmengine does not support',
        'CUDA out of memory', 'DataLoader worker', 'address already in use', 'is not in the',
        'HistoryBuffer', 'SyncBN',
    )  # fmt: skip
    quoted = re.findall(r'^\| `(.*?)`', page, re.MULTILINE)
    ours = [text for text in quoted if not any(part in text for part in theirs)]
    assert len(ours) > 12
    for text in ours:
        longest = max(re.split(r'\s*\.\.\.\s*', text), key=len)
        assert longest in code, text
