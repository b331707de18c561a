"""Train every method with the same schedules on the validation part of small sets.

    python tools/benchmarks/schedule_trials.py DATA:EPOCHS [DATA:EPOCHS ...] --out trials.csv

DATA is a folder of tools/dataset_converters/split_folder.py whose "test" is a part that was set
aside for choosing settings; the test images of the set are no part of it. A trial is a run of
tools/train.py with a config of tools/new_config.py: ResNet-18 of a quarter of the width, 32 pixels.
Its number is the mean accuracy over the classes (macro) after the last epoch. Rates are of 32
images a step; a warm-up of 0.1 is a tenth of the epochs. What stands in FILE is not run again.
"""

import argparse
import csv
import time
from collections import defaultdict
from pathlib import Path

from _trials import TOOLS, last_epoch

from mmlt.class_counts import load_class_counts
from mmlt.engine.new_config import METHODS, config_text

RUNTIME = TOOLS.parent / 'configs/_base_/default_runtime.py'
COLUMNS = ('data', 'epochs', 'seed', 'rate', 'warmup', 'method', 'macro', 'seconds')


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('data', nargs='+', metavar='DATA:EPOCHS')
    add('--out', type=Path, required=True, metavar='FILE', help='CSV, a line a trial')
    add('--schedules', nargs='+', metavar='RATE:WARMUP',
        default=['0.006:0.1', '0.02:0.1', '0.06:0.1'])  # fmt: skip
    add('--methods', nargs='+', choices=METHODS, default=list(METHODS))
    add('--seeds', nargs='+', type=int, default=[0], help='{seed} in DATA is each of them')
    args = parser.parse_args()
    for seed in args.seeds:
        for schedule in args.schedules:
            for data, epochs in (word.rsplit(':', 1) for word in args.data):
                for method in args.methods:
                    rate, warmup = schedule.split(':')
                    key = [data.replace('{seed}', str(seed)), epochs, str(seed)]
                    run_once(args.out, [*key, rate, warmup, method])
    print(table(args.out))


def run_once(out: Path, key: list[str]) -> None:
    """Run a trial whose line is not there, in a process of its own."""
    rows = read(out)
    if any([row[name] for name in COLUMNS[:6]] == key for row in rows):
        return
    data, epochs, seed, rate, warmup, method = key
    folder = out.with_suffix('') / '_'.join([Path(data).name, *key[1:]])
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    macro = train(folder, Path(data), method, int(epochs), float(rate), float(warmup), int(seed))
    rows.append(dict(zip(COLUMNS, [*key, macro, f'{time.perf_counter() - start:.0f}'])))
    with open(out, 'w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(rows[-1], flush=True)


def train(folder, data, method, epochs, rate, warmup, seed) -> str:
    """What a person would do with the two tools; the macro accuracy of the last epoch."""
    total = sum(load_class_counts(str(data / 'counts.json')))
    batch = 32 if total >= 320 else 16
    config = folder / 'trial.py'
    text, _ = config_text(
        data, config, method, 'ResNet', 32, epochs, batch, rate * batch / 32,
        backbone_options=dict(depth=18, stem_channels=16, base_channels=16),
        runtime=RUNTIME.read_text(), workers=0, warmup=max(1, round(warmup * epochs)),
    )  # fmt: skip
    config.write_text(text)
    options = [f'train_cfg.val_interval={epochs}', f'randomness.seed={seed}',
               'default_hooks.checkpoint.interval=1000']  # fmt: skip
    return last_epoch(config, folder, '--fast', '--cfg-options', *options).get('macro', 'nan')


def read(out: Path) -> list[dict]:
    """The trials so far."""
    if not out.exists():
        return []
    with open(out, newline='') as file:
        return list(csv.DictReader(file))


def table(out: Path) -> str:
    """Mean over the seeds of each schedule, a block a set, a column a method."""
    cells = defaultdict(list)
    for row in read(out):
        schedule = f'{row["rate"]}, warm-up {row["warmup"]}'
        data = Path(row['data']).name.removesuffix(f'_{row["seed"]}')
        cells[data, schedule, row['method']].append(float(row['macro']))
    lines = []
    for data in dict.fromkeys(key[0] for key in cells):
        lines += [f'| {data} | ' + ' | '.join(METHODS) + ' |', '| --- |' + ' ---: |' * len(METHODS)]
        for schedule in dict.fromkeys(key[1] for key in cells if key[0] == data):
            values = (cells.get((data, schedule, method)) for method in METHODS)
            texts = (f'{sum(v) / len(v):.1f}' if v else '' for v in values)
            lines.append(f'| {schedule} | ' + ' | '.join(texts) + ' |')
        lines.append('')
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
