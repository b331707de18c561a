"""Try the same settings with every method on the digits, on images that nobody trains on.

    python tools/benchmarks/digits_trials.py [--work-dir DIR] [--trials 8]

A trial trains with seed 0 on the 314 images of digits-lt-if50 and is judged after its last epoch by
its accuracy, mean over the classes, on the 883 training images that this draw leaves. The test
images have no part in it. What stands in results/digits_trials.json is not run again.
"""

import argparse
import itertools
import json
from pathlib import Path

from _results import FOLDER, save
from _trials import TOOLS, last_epoch

CONFIGS = TOOLS.parent / 'configs'
METHODS = {
    'CE': 'baselines/ce_resnet20_digits-lt.py',
    'BS': 'baselines/bs_resnet20_digits-lt.py',
    'DBM-BS': 'dbm/dbm-bs_resnet20_digits-lt.py',
    'BCE3S': 'bce3s/resnet20_digits-lt.py',
    'BCL': 'bcl/resnet20_digits-lt.py',
}
# The cosine goes over the whole training of the backbone, or over its last 25 epochs.
SHAPES, RATES, DECAYS = ('cosine', 'flat, cosine'), (0.05, 0.1), (5e-3, 1e-3)
SETTINGS = list(itertools.product(SHAPES, RATES, DECAYS))
WRAPPED = dict(type='DigitsLT', split='train', pipeline=[dict(type='PackInputs')])
REST = dict(type='LongTailedDataset', class_counts='digits-lt-if50', part='rest', dataset=WRAPPED)
HEAD = ['schedule', 'rate', 'weight decay', *METHODS]


def main() -> None:
    """Run what is missing, write it down after each trial."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/digits_trials'))
    parser.add_argument('--trials', type=int, default=len(SETTINGS), help='the first N settings')
    args = parser.parse_args()
    path = FOLDER / 'digits_trials.json'
    rows = json.loads(path.read_text())['rows'] if path.exists() else []
    rows = [row + [''] * (len(HEAD) - len(row)) for row in rows]  # methods are added at the end
    for setting in SETTINGS[: args.trials]:
        row = next((row for row in rows if row[:3] == list(setting)), None)
        if row is None:
            row = [*setting, *[''] * len(METHODS)]
            rows.append(row)
        for column, method in enumerate(METHODS, start=3):
            if row[column] in ('', 'failed'):
                row[column] = run(method, setting, args.work_dir)
                title = f'macro accuracy on validation images, seed 0; best: {best(rows)}'
                save('digits_trials', title, HEAD, rows)


def run(method: str, setting: tuple, work_dir: Path) -> str:
    """The macro accuracy of a trial."""
    shape, rate, decay = setting
    folder = work_dir / '_'.join([method, shape.replace(', ', '-'), str(rate), str(decay)])
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / 'trial.py'
    config.write_text(
        f'_base_ = {str(CONFIGS / METHODS[method])!r}\n'
        f'optim_wrapper = dict(optimizer=dict(lr={rate}, weight_decay={decay}))\n'
        f'param_scheduler = {schedule(method, shape, rate)}\n'
        f'val_dataloader = dict(dataset=dict(_delete_=True, **{REST}))\n'
        'train_cfg = dict(val_interval=1000)\n'
        'default_hooks = dict(checkpoint=dict(interval=1000))\n'
    )
    columns = last_epoch(config, folder, '--cfg-options', 'randomness.seed=0')
    return columns.get('macro', 'failed')


def schedule(method: str, shape: str, rate: float) -> list[dict]:
    """The schedulers: BCE3S has its second stage, at the full rate again, in its last 25 epochs."""
    end = 100 if method == 'BCE3S' else 125
    begin = 0 if shape == 'cosine' else end - 25
    cosine = dict(type='CosineAnnealingLR', begin=begin, end=end, T_max=end - begin)
    if method != 'BCE3S':
        return [cosine]
    return [
        cosine | dict(eta_min=rate / 100),
        dict(type='MultiStepLR', milestones=[100], gamma=100),
        dict(type='CosineAnnealingLR', T_max=25, begin=100, end=125),
    ]


def best(rows: list[list]) -> str:
    """The setting of the highest accuracy of each method; of equal ones the first."""
    words = []
    for column, method in enumerate(METHODS, start=3):
        done = [row for row in rows if row[column] not in ('', 'failed')]
        if done:
            row = max(done, key=lambda row: float(row[column]))
            words.append(f'{method} {row[0]} {row[1]} {row[2]}')
    return '; '.join(words)


if __name__ == '__main__':
    main()
