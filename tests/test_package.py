"""The wheel, the scope ``mmlt`` and the model index: what works without a checkout."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.hub import get_config, get_model
from mmengine.registry import DefaultScope
from mmpretrain.apis.model import ModelHub
from mmpretrain.registry import MODELS

import mmlt
from mmlt import __main__ as command
from mmlt import compat
from mmlt.models.heads import BCE3SHead
from mmlt.reproduction import render_metafile, write_record
from mmlt.utils import register_all_modules

ROOT = Path(__file__).parents[1]
DIGITS = 'bce3s/resnet20_digits-lt.py'


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    words = ['-q', 'build', '--build-base', folder / 'build', 'egg_info', '--egg-base', folder]
    words += ['bdist_wheel', '-d', folder]
    subprocess.run(
        [sys.executable, '-W', 'ignore', 'setup.py', *map(str, words)], cwd=ROOT, check=True
    )
    return zipfile.ZipFile(next(folder.glob('*.whl')))


def test_the_wheel_holds_what_the_checkout_has(wheel):
    names = {name for name in wheel.namelist() if '.dist-info/' not in name}
    shipped = [ROOT / 'model-index.yml']
    for folder in ('configs', 'tools'):
        shipped += [
            p for p in (ROOT / folder).rglob('*') if p.suffix in ('.py', '.yml', '.sh', '.pth')
        ]
    wanted = {f'mmlt/.mim/{path.relative_to(ROOT)}' for path in shipped}
    package = (p for p in (ROOT / 'mmlt').rglob('*') if p.suffix in ('.py', '.json', '.typed'))
    wanted |= {str(p.relative_to(ROOT)) for p in package if '.mim' not in p.parts}
    assert {'mmlt/py.typed', f'mmlt/.mim/configs/{DIGITS}'} <= wanted <= names
    assert {Path(name).suffix for name in names - wanted} <= {'.md', '.json', '.pth', '.log'}
    # The links of the checkout became files.
    assert wheel.read(f'mmlt/.mim/configs/{DIGITS}') == (ROOT / 'configs' / DIGITS).read_bytes()


def test_a_config_of_one_s_own_inherits_from_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / 'own.py'
    own.write_text(
        f"_base_ = 'mmlt::{DIGITS}'\nmodel = dict(head=_base_.model.head)\n"
        'custom_hooks = [_base_.default_hooks.retraining]\n'
    )
    cfg, base = Config.fromfile(own), Config.fromfile(ROOT / 'configs' / DIGITS)
    # mmengine marks what is taken over by name.
    assert cfg.custom_hooks[0]['_scope_'] == cfg.model['_scope_'] == 'mmlt'
    assert {**cfg.model, '_scope_': None} == {**base.model, '_scope_': None}
    assert type(MODELS.build(cfg.model).head) is BCE3SHead
    head = dict(num_classes=3, in_channels=4, type='mmlt.BCE3SHead')
    assert type(MODELS.build(head)) is BCE3SHead
    with DefaultScope.overwrite_default_scope('mmlt'):
        assert type(MODELS.build(head)) is BCE3SHead
        assert type(MODELS.build(dict(head, type='BCE3SHead'))) is BCE3SHead


def test_mmengine_s_hub_finds_the_configs():
    path = Path(get_config(f'mmlt::{DIGITS}').filename)
    assert path == Path(mmlt.__file__).parent / '.mim' / 'configs' / DIGITS
    assert type(get_model(f'mmlt::{DIGITS}').head) is BCE3SHead
    # One that the index does not list.
    assert get_config('mmlt::_base_/schedules/digits_125e.py').train_cfg.max_epochs == 125
    with pytest.raises(FileNotFoundError, match='no_such.py'):
        get_config('mmlt::bce3s/no_such.py')


def test_a_class_registered_in_the_scope_is_everybody_s():
    from mmpretrain.registry import HOOKS as UPSTREAM

    from mmlt.registry import HOOKS

    @HOOKS.register_module()
    class AnywhereHook:
        pass

    assert UPSTREAM.get('AnywhereHook') is HOOKS.get('mmlt.AnywhereHook') is AnywhereHook
    del UPSTREAM._module_dict['AnywhereHook']


def test_register_all_modules_sets_the_scope_of_the_configs():
    register_all_modules(False)
    assert DefaultScope.get_current_instance() is None
    register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmpretrain'


def test_a_checkout_without_links_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compat, '__file__', str(tmp_path / 'compat.py'))
    find = compat._own_path(lambda package: package)
    assert find('mmpretrain') == 'mmpretrain'
    with pytest.raises(FileNotFoundError, match='checkout without its links'):
        find('mmlt')
    monkeypatch.setattr(command, 'SHIPPED', tmp_path)
    assert command.main(['train']) == 1
    assert 'checkout without its links' in capsys.readouterr().err


def test_the_command_knows_tools_and_configs(capsys):
    # That it starts them is seen in .ci/run, which trains so from the wheel.
    known = command.tools()
    names = {p.stem for p in (ROOT / 'tools').rglob('*.py') if 'if __name__' in p.read_text()}
    assert {'train', 'analyze_model', 'split_folder'} <= set(known) == names
    assert command.resolve('--work-dir') == '--work-dir'
    assert Path(command.resolve(f'mmlt::{DIGITS}')).read_bytes()
    assert command.main([]) == 0
    assert command.main(['trian']) == 1
    said = capsys.readouterr()
    assert "no tool 'trian'" in said.err
    assert 'train_two_stage' in said.out
    assert command.main(['train', 'mmlt::bcl/typo.py']) == 1
    assert command.main(['train', 'mmlt::typo/typo.py']) == 1
    said = capsys.readouterr().err
    assert 'resnet50_inat2018' in said
    assert 'bce3s, bcl' in said


METAFILES = sorted((ROOT / 'configs').glob('*/metafile.yml'))


def test_the_index_lists_every_method_and_every_model_once():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert index == [str(path.relative_to(ROOT)) for path in METAFILES]
    folders = {p.parent for p in (ROOT / 'configs').glob('*/*.py') if p.parent.name[0] != '_'}
    assert {path.parent for path in METAFILES} == folders
    ModelHub.register_model_index(ROOT / 'model-index.yml', config_prefix=ROOT)
    assert ModelHub.get('bce3s_resnet20_digits-lt').config.model.head.type == 'BCE3SHead'


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.parent.name)
def test_a_metafile_shows_the_configs_and_records_beside_it(path):
    assert path.read_text() == render_metafile(path), (
        f'run: python tools/render_results.py configs/{path.parent.name}/metafile.yml'
    )


def record(seed, accuracy, **options):
    last = {f'shot/{name}': accuracy for name in ('all', 'many', 'medium', 'few')}
    same = dict(config='a.py', precision='float32', draw='d, hash 0', augmentation='by images')
    return dict(same, seed=seed, last=last, options=options)


def test_results_are_those_of_the_records_alone(tmp_path):
    folder = tmp_path / 'configs' / 'toy'
    (folder / 'results').mkdir(parents=True)
    shutil.copy(ROOT / 'configs/baselines/metafile.yml', folder)
    for name in ('a', 'b'):
        (folder / f'{name}.py').write_text(f"_base_ = '{ROOT / 'configs' / DIGITS}'\n")
    rows = [record(1, 40.0), record(0, 44.0, **{'train_dataloader.num_workers': 0})]
    rows += [record(0, 50.0, width=4), dict(record(2, 60.0), augmentation='by batches')]
    rows[-1]['last']['shot/few'] = None  # this draw has no such class
    for number, row in enumerate(rows):
        write_record(folder / 'results' / f'{number}.json', row)
    text = render_metafile(folder / 'metafile.yml')
    a, b = yaml.safe_load(text)['Models']
    assert 'Results' not in b
    assert b['Metadata']['Training Data'] == 'digits-lt-if50'
    plain, wide, batches = a['Results']
    assert (batches['Seeds'], batches['Augmentation']) == ([2], 'by batches')
    assert set(batches['Metrics']) == {'Top 1 Accuracy', 'Many', 'Medium'}
    assert plain['Metrics']['Top 1 Accuracy'] == 42.0
    assert plain['Metrics']['Top 1 Accuracy (standard deviation)'] == 2.83
    assert (plain['Seeds'], plain.get('Options')) == ([0, 1], None)
    assert (wide['Metrics']['Few'], wide['Options']) == (50.0, dict(width=4))
    (folder / 'metafile.yml').write_text(text)
    assert render_metafile(folder / 'metafile.yml') == text
    # A number changed by hand is seen, in the metafile and in the record.
    tool = [sys.executable, ROOT / 'tools/render_results.py', '--check', folder / 'metafile.yml']
    (folder / 'metafile.yml').write_text(text.replace('42.0', '43.0'))
    run = subprocess.run(tool, capture_output=True, text=True)
    assert (run.returncode, 'does not show the configs and records' in run.stderr) == (1, True)
    changed = (folder / 'results/0.json').read_text().replace('40.0', '60.0')
    (folder / 'results/0.json').write_text(changed)
    with pytest.raises(ValueError, match='was changed after it was written'):
        render_metafile(folder / 'metafile.yml')
