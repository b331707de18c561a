"""The benchmarks' pages print what the results say, and a change by hand is seen."""

import json
import re
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

FOLDER = Path(__file__).parents[2] / 'tools' / 'benchmarks'
sys.path.insert(0, str(FOLDER))
import digits_trials  # noqa: E402
import render  # noqa: E402


def test_the_pages_show_the_results_and_nothing_else():
    shown = []
    for page in render.PAGES:
        text = page.read_text(encoding='utf-8')
        assert render.fill(text) == text
        shown += re.findall(r'<!-- result: (\w+) -->', text)
    assert {path.stem for path in render.FOLDER.glob('*.json')} <= set(shown)


@pytest.mark.parametrize('path', sorted(render.FOLDER.glob('*.json')), ids=lambda path: path.stem)
def test_a_result_names_command_machine_and_code(path):
    content = json.loads(path.read_text())
    script = content['command'].split()[1]
    assert (FOLDER.parents[1] / script).is_file()
    assert content['machine']
    assert re.fullmatch(r'[0-9a-f]{12}\+?', content['revision'])
    assert {len(row) for row in content['rows']} == {len(content['head'])}


def test_a_number_changed_by_hand_is_put_back():
    text = render.PAGES[0].read_text(encoding='utf-8')
    cell = next(line for line in text.splitlines() if line.startswith('| 8142 | DBM-BS'))
    assert render.fill(text.replace(cell, cell.replace('67', '45'))) == text


@pytest.mark.parametrize('method', digits_trials.METHODS)
def test_a_config_of_the_digits_has_what_did_best_on_the_validation_images(method):
    rows = json.loads((render.FOLDER / 'digits_trials.json').read_text())['rows']
    assert [tuple(row[:3]) for row in rows] == digits_trials.SETTINGS
    column = digits_trials.HEAD.index(method)
    shape, rate, decay = max(rows, key=lambda row: float(row[column]))[:3]
    cfg = Config.fromfile(digits_trials.CONFIGS / digits_trials.METHODS[method])
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay) == (rate, decay)
    wanted = digits_trials.schedule(method, shape, rate)
    whole = dict(begin=0, end=125)
    assert [whole | spec for spec in cfg.param_scheduler] == [whole | spec for spec in wanted]
