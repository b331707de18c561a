"""The benchmarks' pages print what the results say, and a change by hand is seen."""

import json
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'tools' / 'benchmarks'
sys.path.insert(0, str(FOLDER))
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
