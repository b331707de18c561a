"""Tune a frozen transformer on the digits by each tuner, by its head alone, and as a whole.

    python tools/benchmarks/tuners.py [--work-dir DIR] [--foundation FILE.pth]

The foundation is configs/lift/foundation_vit-tiny_digits.py, which has learned balanced digits
upside down; it is trained first unless a file is given. All methods begin with its class means and
have balanced softmax and LIFT's schedule. Each rate is tried with seeds 0 and 1 on the training
images that digits-lt-if50 leaves; with the best one seeds 0, 1 and 2 are tested on the test images.
A run whose result stands in the work dir is not run again.
"""

import argparse
import json
import resource
import statistics
from pathlib import Path

from _results import save
from _trials import TOOLS, last_epoch
from digits_trials import REST
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmlt.analysis.class_means import class_means
from mmlt.models.class_vectors import save_class_vectors

CONFIGS = TOOLS.parent / 'configs/lift'
LIFT = 'lift_vit-tiny_digits-lt.py'
METHODS = {
    'linear probe': dict(type='LinearProbe'),
    'BitFit': dict(type='BitFit'),
    'SSF': dict(type='SSF'),
    'LoRA, r = 4': dict(type='LoRA', rank=4),
    'VPT-shallow, 10 tokens': dict(type='VisualPrompts', number=10, deep=False),
    'VPT-deep, 10 tokens': dict(type='VisualPrompts', number=10),
    'AdaptFormer, r = 4 (LIFT)': dict(type='AdaptFormer', width=4),
    'the same with DBM-BS': dict(type='AdaptFormer', width=4),
    'everything': None,
}
RATES, SEEDS = (0.005, 0.01, 0.02, 0.05, 0.1), (0, 1, 2)
GROUPS = ('many', 'medium', 'few', 'all')


def main() -> None:
    """Run what is missing, then the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/tuners'))
    parser.add_argument('--foundation', type=Path)
    args = parser.parse_args()
    start = args.foundation or args.work_dir / 'foundation/run/epoch_60.pth'
    if not start.exists():
        last_epoch(CONFIGS / 'foundation_vit-tiny_digits.py', args.work_dir / 'foundation')
    start = start.resolve()
    trials, rows = best_rates(args.work_dir, start), []
    for name in METHODS:
        rate = max(trials[name], key=lambda rate, name=name: trials[name][rate])
        runs = [run(name, start, rate, seed, args.work_dir) for seed in SEEDS]
        cells = [spread([float(columns[group]) for columns, _ in runs]) for group in GROUPS]
        seconds = statistics.median(seconds for _, seconds in runs)
        rows.append([name, trained(name, start), rate, *cells, f'{seconds:.0f}'])
        head = ['trained', 'parameters of the backbone', 'rate', *GROUPS, 'CPU seconds of a run']
        save(
            'tuners', 'mean and standard deviation of 3 seeds, last epoch, test images', head, rows
        )


def best_rates(work_dir: Path, start: Path) -> dict[str, dict[float, float]]:
    """Macro accuracy on the validation images, mean of two seeds, by method and rate."""
    found, rows = {}, []
    for name in METHODS:
        found[name] = {
            rate: statistics.mean(
                float(run(name, start, rate, seed, work_dir, REST)[0]['macro'])
                for seed in SEEDS[:2]
            )
            for rate in RATES
        }
        rows.append([name, *(f'{value:.2f}' for value in found[name].values())])
        title = 'macro accuracy on validation images, mean of two seeds, by the rate'
        save('tuner_trials', title, ['trained', *RATES], rows)
    return found


def run(name, start, rate, seed, work_dir, validation=None) -> tuple[dict, float]:
    """One training: the columns of its last epoch, and the CPU seconds that it took."""
    folder = work_dir / f'{name}_{rate}_{seed}{"_validation" * bool(validation)}'.replace(' ', '-')
    result = folder / 'result.json'
    if result.exists():
        return tuple(json.loads(result.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    cfg = config(name, start)
    if validation:
        cfg.val_dataloader.dataset = validation
    cfg.optim_wrapper.optimizer.lr = rate
    cfg.default_hooks.checkpoint.interval = 1000
    cfg.dump(folder / 'config.py')
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    columns = last_epoch(folder / 'config.py', folder, '--cfg-options', f'randomness.seed={seed}')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result.write_text(json.dumps([columns, seconds]))
    return columns, seconds


def config(name: str, start: Path) -> Config:
    """The config of a method; the class means are computed once."""
    cfg = Config.fromfile(CONFIGS / (f'dbm-{LIFT}' if 'DBM' in name else LIFT))
    cfg.model.backbone.init_cfg.checkpoint = str(start)
    means = start.with_name('class_means.pth')
    if not means.exists():
        found = class_means(cfg)
        save_class_vectors(means, found.vectors, found.names, dict(kind='class means'))
    cfg.model.head.init_cfg.file = str(means)
    cfg.model.tuner = METHODS[name]
    if METHODS[name] is None:
        cfg.model.type = 'ImageClassifier'
        del cfg.model.tuner, cfg.model.saved
    return cfg


def trained(name: str, start: Path) -> str:
    """How much of the backbone, or beside it, is trained."""
    model = MODELS.build(config(name, start).model)
    head = {id(parameter) for parameter in model.head.parameters()}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in head]
    whole = sum(p.numel() for p in model.backbone.parameters())
    number = sum(p.numel() for p in rest)
    return f'{number:,} ({number / whole:.1%})'


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation."""
    return f'{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}'


if __name__ == '__main__':
    main()
