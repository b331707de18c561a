"""What the trials of settings share: one training in a process of its own, and its last line."""

import contextlib
import multiprocessing
import re
import runpy
import sys
from pathlib import Path

import mmpretrain.models  # noqa: F401  (imported once, before the processes of the trials)
from mmengine.runner import runner as mmengine_runner

import mmlt  # noqa: F401

TOOLS = Path(__file__).parents[1]


def last_epoch(config: Path, folder: Path, *words: str) -> dict[str, str]:
    """Train a config; the columns of the table that tools/train.py ends with, {} if it failed."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = multiprocessing.get_context('fork').Process(target=_train, args=(config, folder, words))
    trial.start()
    trial.join()
    lines = (folder / 'out.txt').read_text().splitlines()
    found = [number for number, line in enumerate(lines) if re.match(r'epoch.*\(last\) ', line)]
    if trial.exitcode or not found:
        return {}
    names = next(lines[n] for n in range(found[-1], -1, -1) if lines[n].startswith(' ')).split()
    return dict(zip(names, lines[found[-1]].partition('(last)')[2].split()))


def _train(config: Path, folder: Path, words) -> None:
    mmengine_runner.collect_env = dict  # asks compilers for their versions: seconds, each time
    sys.argv = ['train.py', str(config), '--work-dir', str(folder / 'run'), *words]
    sys.path.insert(0, str(TOOLS))
    with (
        open(folder / 'out.txt', 'w') as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        runpy.run_path(str(TOOLS / 'train.py'), run_name='__main__')
