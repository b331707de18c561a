"""The tools without a checkout: ``python -m mmlt train mmlt::bce3s/resnet20_digits-lt.py``.

    python -m mmlt                      lists the tools
    python -m mmlt TOOL [ARGUMENTS]     runs one, in the folder where you are

A config of the package is named ``mmlt::METHOD/NAME.py``, as in ``_base_``.
"""

import os
import subprocess
import sys
from pathlib import Path

from mmlt import compat

SHIPPED = Path(__file__).parent / '.mim'


def tools() -> dict[str, Path]:
    """The tools by name; no two have the same."""
    scripts = sorted((SHIPPED / 'tools').glob('*.py')) + sorted((SHIPPED / 'tools').glob('*/*.py'))
    found = {}
    for path in scripts:
        if "\nif __name__ == '__main__':" in path.read_text(encoding='utf-8'):
            found[path.stem] = path
    return found


def resolve(word: str) -> str:
    """The path of ``mmlt::METHOD/NAME.py``; every other word as it is.

    Raises:
        ValueError: The package has no such config.
    """
    if not word.startswith('mmlt::'):
        return word
    path = SHIPPED / 'configs' / word.removeprefix('mmlt::')
    if not path.is_file():
        near = sorted(p.stem for p in path.parent.glob('*.py')) or [
            p.name for p in sorted((SHIPPED / 'configs').iterdir()) if p.is_dir()
        ]
        raise ValueError(f'{word} does not exist; there are {", ".join(near)}')
    return str(path)


def main(words: list[str]) -> int:
    """Run a tool in a process of its own, which has its own name and folder of modules."""
    known = tools()
    if not known:
        print(
            f'{SHIPPED} holds no tools: this is a checkout without its links. Start the tools '
            'by their path, or install mmlt without -e',
            file=sys.stderr,
        )
        return 1
    if not words or words[0] not in known:
        if words and words[0] not in ('-h', '--help'):
            print(f'error: there is no tool {words[0]!r}', file=sys.stderr)
        print(__doc__ + '\nTools: ' + ', '.join(known))
        return int(bool(words) and words[0] not in ('-h', '--help'))
    try:
        compat.check_mm_stack()
        command = [sys.executable, str(known[words[0]]), *map(resolve, words[1:])]
    except (ImportError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    if os.name != 'nt':
        sys.stdout.flush()
        os.execv(command[0], command)  # signals reach the tool itself
    return subprocess.call(command)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
