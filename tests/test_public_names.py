"""What users import, write in configs and type: compared with a list, so nothing goes unseen.

To accept a change on purpose: ``python tests/test_public_names.py > tests/public_names.txt``, and
tell it in .github/CHANGELOG.md. A name that goes away first fails for a release with a line that
says where it went.
"""

import inspect
import re
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import Registry
from mmpretrain import registry as upstream

import mmlt

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name('public_names.txt')
ACCEPT = 'if this is meant: python tests/test_public_names.py > tests/public_names.txt'


def signature(call) -> str:
    """The names of the arguments, those with a default marked by =."""
    if inspect.isclass(call) and call.__init__ is object.__init__:
        return '()'
    parameters = inspect.signature(call).parameters.values()
    named = (p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
    words = [p.name + '=' * (p.default is not p.empty) for p in named]
    words += ['**' for p in parameters if p.kind is p.VAR_KEYWORD]
    return f'({", ".join(words)})'


def imported() -> set[str]:
    """The names of the package and of its mathematics."""
    found = {f'import mmlt.{name}' for name in mmlt.__all__}
    for name in mmlt.functional.__all__:
        value = getattr(mmlt.functional, name)
        found.add(f'import mmlt.functional.{name}{signature(value) if callable(value) else ""}')
    return found


def registered() -> set[str]:
    """The types that configs name, with their keyword arguments."""
    return {
        f'type {name}{signature(kind)}'
        for registry in vars(upstream).values()
        if isinstance(registry, Registry)  # mmengine's are among them
        for name, kind in registry.module_dict.items()
        if kind.__module__.startswith('mmlt.')
    }


def configured() -> set[str]:
    """The configs, what they can be told by the environment, and the keys of their frame."""
    files = {p for p in (ROOT / 'configs').rglob('*.py') if p.parent.name != '_tables_'}
    found = {f'config mmlt::{path.relative_to(ROOT / "configs").as_posix()}' for path in files}
    for path in files:
        for name in re.findall(r'MMLT_[A-Z_]+', path.read_text()):
            found.add(f'environment {name}')
    cfg = Config.fromfile(ROOT / 'configs/bce3s/resnet20_digits-lt.py')
    found |= {f'key {key}' for key in cfg}
    return found | {f'key default_hooks.{key}' for key in cfg.default_hooks}


def typed() -> set[str]:
    """The tools and their flags, read from the sources; a benchmark promises nothing."""
    shared = {
        'base_parser(': ROOT / 'tools/_cli.py',
        'add_class_counts(': ROOT / 'mmlt/config_class_counts.py',
    }
    found = set()
    for tool in (ROOT / 'tools').rglob('*.*'):
        text = tool.read_text() if tool.suffix in ('.py', '.sh') else ''
        if "__name__ == '__main__'" not in text and tool.suffix != '.sh':
            continue
        if tool.parent.name == 'benchmarks':
            continue
        name = tool.relative_to(ROOT).as_posix()
        found.add(f'tool {name}')
        sources = text
        for mark, path in shared.items():
            sources += path.read_text() if mark in sources else ''
        flags = re.findall(r"add(?:_argument)?\(\s*f?'(--[a-z{][a-z0-9{}-]*)'", sources)
        found |= {f'tool {name} {flag}' for flag in flags}
    return found


def public_names() -> list[str]:
    """All of it, a line each."""
    return sorted(imported() | registered() | configured() | typed())


def test_the_public_names_are_those_of_the_list():
    found, listed = set(public_names()), set(LIST.read_text().splitlines())
    gone, new = sorted(listed - found), sorted(found - listed)
    assert not gone, '\n'.join(['these went, or have other arguments:', *gone, ACCEPT])
    assert not new, '\n'.join(['these are not on the list:', *new, ACCEPT])


def test_every_part_is_on_the_list():
    # A reader that finds nothing would compare nothing.
    lines = LIST.read_text().splitlines()
    assert lines == sorted(set(lines))
    for wanted in (
        'import mmlt.functional.sigmoid_pair_loss(',
        'type BCE3SHead(num_classes, in_channels, class_counts=',
        'type PhotoFolder(',
        'type ShotAccuracy(class_counts',
        'type ExactResumeHook(',
        'config mmlt::bce3s/resnet20_digits-lt.py',
        'environment MMLT_CIFAR',
        'key default_hooks.class_counts_check',
        'tool tools/train.py --resume',
        'tool tools/train.py --class-counts',
        'tool tools/test.py --trust-checkpoint',
        'tool tools/predict.py --topk',
        'tool tools/dist_train.sh',
    ):
        assert any(line.startswith(wanted) for line in lines), wanted


if __name__ == '__main__':
    print('\n'.join(public_names()))
