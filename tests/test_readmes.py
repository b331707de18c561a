"""Every snippet of every README: a config trains, a command is one that its tool takes."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401
from mmlt.engine.ablation_grids import GRIDS
from mmlt.reproduction import read_table, render_table

ROOT = Path(__file__).parents[1]
READMES = sorted(
    [*ROOT.glob('README.md'), *ROOT.glob('*/README.md'), *ROOT.glob('*/*/README.md')]
    + list(ROOT.glob('.github/*.md'))
)
DIGITS = 'configs/bce3s/resnet20_digits-lt.py'
FLAG = re.compile(r'--[a-z][a-z0-9-]+')


def blocks(language: str) -> list:
    found = []
    for path in dict.fromkeys(READMES):
        parts = re.findall(rf'```{language}\n(.*?)```', path.read_text(), re.DOTALL)
        if (path.name, language) == ('CONTRIBUTING.md', 'python'):
            continue  # they are one program, which test_github.py runs
        name = path.relative_to(ROOT).parent.as_posix()
        found += [pytest.param(text, id=f'{name}-{i}') for i, text in enumerate(parts)]
    return found


def whole_configs() -> list:
    return [
        part
        for part in blocks('python')
        if re.match(r"(#.*\n)*_base_ = '(configs/|mmlt::)", part.values[0])
    ]


def test_all_other_configs_are_those_of_the_head_swap():
    # test_configs.py trains these two.
    rest = [p.values[0] for p in blocks('python') if p not in whole_configs()]
    assert len(rest) == 3
    assert 'mmpretrain::' in rest[0]
    assert 'ClassCountsCheckHook' in rest[1]


def test_the_criterion_of_the_readme_trains_on_labels_and_on_mixtures():
    text = next(p.values[0] for p in blocks('python') if 'BrierLoss' in p.values[0])
    exec(text, {})  # ends in the registry
    head = MODELS.build(
        dict(type='BCE3SHead', num_classes=3, in_channels=4, joint=dict(type='BrierLoss'))
    )
    criterion = head.loss_module
    hard, soft = torch.tensor([0, 2]), torch.eye(3)[[0, 2]]
    logits = torch.tensor([[9.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(criterion(logits, hard), criterion(logits, soft))
    torch.testing.assert_close(criterion(logits, hard).item(), 1 / 3, atol=1e-3, rtol=0)
    mixed = 0.5 * soft + 0.5 * soft.flip(0)
    # Sure of class 0, which is half of the mixture: 0.25 too much there, 0.25 too little elsewhere.
    torch.testing.assert_close(criterion(logits[:1], mixed[:1]).item(), 0.5, atol=1e-3, rtol=0)


@pytest.mark.parametrize('text', whole_configs())
def test_a_config_of_a_readme_trains_and_tests(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / 'snippet.py'
    config.write_text(text.replace("_base_ = 'configs/", f"_base_ = '{ROOT}/configs/"))
    cfg = Config.fromfile(config)
    base = re.search(r"_base_ = '(.*)'", config.read_text())[1]
    base = Config.fromfile(base.replace('mmlt::', f'{ROOT}/configs/'))
    # Pasted, it drops nothing that belongs to the method.
    assert set(base.default_hooks) <= set(cfg.default_hooks)
    retraining = dict(cfg.default_hooks.retraining)
    retraining.pop('_scope_', None)  # of what came by mmlt::
    assert retraining == base.default_hooks.retraining
    cfg.work_dir, cfg.experiment_name = str(tmp_path / 'run'), tmp_path.name
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    runner = Runner.from_cfg(cfg)
    runner.train()
    metrics = runner.test()
    assert 0 <= metrics['shot/all'] <= 100
    if 'geometry' in cfg.default_hooks:
        scalars = runner.message_hub.log_scalars
        assert {'val/geometry/classifier', 'val/geometry/compactness'} <= set(scalars)
    if 'shifted' in text:
        assert len(runner.test_dataloader.dataset) < 600
        assert runner.model.head.adjustment is not None


FRONT = {
    'cifar100-lt-if100_resnet32.py': [
        *('CE', 'LA post-hoc', 'CE-DRW', 'LDAM-DRW', 'DBM-DRW', 'BS', 'DBM-BS'),
    ],
    'digits-lt-if50_resnet20.py': ['CE', 'BS', 'DBM-BS', 'BCE3S', 'BCL'],
}


def test_the_front_page_has_the_numbers_of_the_records():
    front = (ROOT / 'README.md').read_text().partition('\n## ')[0]
    front = re.findall(r'(?:^\|.*\n)+', front, re.MULTILINE)
    for text, (path, names) in zip(front, FRONT.items(), strict=True):
        head, *rows = cells(render_table(read_table(ROOT / 'configs/_tables_' / path)))
        shown, *lines = cells(text)
        columns = [head.index(name) for name in shown[1:5]]
        if 'paper, all' in shown:
            columns.append(head.index('DBM paper, table 2 (best epoch on test)'))
        every = {row[0]: [row[column] for column in columns] for row in rows}
        assert lines == [[name, *every[name]] for name in names]


def cells(text: str) -> list[list[str]]:
    lines = (line for line in text.splitlines() if re.match(r'\| (?!---)', line))
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]


@pytest.mark.parametrize('path', READMES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_tables_are_tables(path):
    """A blank line inside a table makes plain text of what follows; a cell too few shifts all."""
    text = re.sub(r'```.*?```', '', path.read_text(), flags=re.DOTALL)
    for table in re.findall(r'(?:^\|.*\n)+', text, re.MULTILINE):
        head, rule, *rows = table.splitlines()
        assert re.fullmatch(r'\|([ :-]+\|)+', rule), f'no rule below {head}'
        widths = {
            len(re.findall(r'(?<!\\)\|', re.sub('`[^`]*`', '', row))) for row in (head, *rows)
        }
        assert widths == {rule.count('|')}, head


STUB = """#!/bin/sh
exec {python} -c 'import json, sys; print(json.dumps(sys.argv[1:]))' {tool} "$@" >> {out}
"""


@pytest.fixture
def commands(tmp_path):
    """Run a block in bash with tools that only note how they are called."""
    out = tmp_path / 'calls'
    (tmp_path / 'tools').mkdir()
    for name, tool in (
        ('python', ''),
        ('tools/dist_train.sh', 'dist_train.sh'),
        ('tools/dist_test.sh', 'dist_test.sh'),
    ):
        stub = tmp_path / name
        stub.write_text(STUB.format(python=sys.executable, tool=tool, out=out))
        stub.chmod(0o755)

    def run(block: str) -> list[list[str]]:
        environment = dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', SEED='0')
        run = subprocess.run(
            ['bash', '-euc', block], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []

    return run


def known_flags(tool: str) -> set[str]:
    sources = [ROOT / 'tools' / tool, ROOT / 'tools/_cli.py', ROOT / 'tools/train.py']
    sources.append(ROOT / 'mmlt/config_class_counts.py')
    if 'dist_test' in tool:
        sources.append(ROOT / 'tools/test.py')
    found = set(re.findall(r"'(--[a-z][a-z0-9-]+)'", ''.join(path.read_text() for path in sources)))
    stages = {'--cfg-options', '--stage1-options', '--stage2-options'}
    return found | stages if 'two_stage' in tool else found


def is_synopsis(block: str) -> bool:
    return '[--' in block or '[...]' in block or 'PARTITION' in block


@pytest.mark.parametrize('block', [b for b in blocks('bash') if is_synopsis(b.values[0])])
def test_a_synopsis_names_flags_that_its_tool_has(block):
    tools = re.split(r'^(?=python|tools/|GPUS)', block, flags=re.MULTILINE)
    for usage in filter(str.strip, tools):
        tool = re.search(r'tools/(\S+)', usage)[1]
        assert (ROOT / 'tools' / tool).is_file()
        for flag in FLAG.findall(usage):
            assert flag in known_flags(tool), f'{tool} has no {flag}'


@pytest.mark.parametrize('block', [b for b in blocks('bash') if not is_synopsis(b.values[0])])
def test_a_command_is_one_that_its_tool_takes(block, commands):
    calls = commands(block)
    assert calls or 'pip install' in block
    for words in calls:
        if words[0] == '-m':
            assert words[1] in ('pip', 'pytest'), words
            continue
        if words[0] == '-c':
            compile(words[1], 'README', 'exec')
            continue
        tool = words[0].removeprefix('tools/')
        assert (ROOT / 'tools' / tool).is_file(), words
        for flag in (word for word in words if FLAG.fullmatch(word)):
            assert flag in known_flags(tool), shlex.join(words)
        configs = [word for word in words if word.startswith('configs/')]
        for config in configs:
            assert list(ROOT.glob(config)), config
        options = words[words.index('--cfg-options') + 1 :] if '--cfg-options' in words else []
        if tool == 'ablation_grid.py':
            assert words[1] in GRIDS
        elif tool.endswith(('train.py', 'dist_train.sh', 'test.py')):
            check_options(configs[0] if configs else DIGITS, options)
        elif tool == 'train_two_stage.py':
            for config, stage in zip(configs, ('stage1', 'stage2'), strict=True):
                flag = f'--{stage}-options'
                start = words.index(flag) + 1 if flag in words else len(words)
                ends = (i for i, word in enumerate(words[start:], start) if word.startswith('--'))
                check_options(config, words[start : next(ends, len(words))])


def check_options(config: str, options: list[str]) -> None:
    """Options that a config takes, and whose head can be built."""
    from mmengine.config import DictAction

    cfg = Config.fromfile(ROOT / config)
    pairs = (option.split('=', maxsplit=1) for option in options if '=' in option)
    cfg.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in pairs})
    MODELS.build(cfg.model.head)
