"""What importing costs: CPU seconds of a new process, the smallest of several.

python tools/benchmarks/startup.py [--runs 3]
"""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

from _results import save

ROOT = Path(__file__).parents[2]
WHAT = {
    'torch': '-c import torch',
    'mmlt.functional': '-c import mmlt.functional',
    'torch, torchvision, mmengine, mmcv': '-c import torch,torchvision,mmengine.runner,mmcv',
    'mmpretrain': '-c import mmpretrain.apis,mmpretrain.models,mmpretrain.datasets',
    'mmlt': '-c import mmlt',
    'tools/train.py --help': 'tools/train.py --help',
    'tools/predict.py --help': 'tools/predict.py --help',
    'tools/dataset_converters/split_folder.py --help': (
        'tools/dataset_converters/split_folder.py --help'
    ),
    'tools/render_results.py --help': 'tools/render_results.py --help',
}


def cpu_seconds(command: str) -> float:
    """CPU time of a process."""
    words = command.split(' ', 1) if command.startswith('-c') else command.split()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    run = [sys.executable, '-W', 'ignore', *words]
    subprocess.run(run, cwd=ROOT, env=env, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=3)
    args = parser.parse_args()
    rows = []
    for name, command in WHAT.items():
        seconds = min(cpu_seconds(command) for _ in range(args.runs))
        rows.append([f'`{name}`' if name.startswith('tools') else name, f'{seconds:.2f}'])
    save(
        'startup',
        f'smallest of {args.runs} runs',
        ['process', 'CPU seconds'],
        rows,
        threads=1,
    )


if __name__ == '__main__':
    main()
