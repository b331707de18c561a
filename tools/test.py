"""Test checkpoints: ``python tools/test.py CONFIG CHECKPOINT [CHECKPOINT ...]``.

Prints the accuracy on classes with many, medium and few training images; of several checkpoints,
such as the seeds of one method, also mean and standard deviation. ``--tta`` and ``--five-crop`` add
the numbers with test-time augmentation to those without; say so when you quote them.
"""

import csv
import io
import math
import os
from copy import deepcopy

import numpy as np
from _cli import base_parser, load_config
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults

import mmlt  # noqa: F401  (registers everything, before a Runner is built)
from mmlt.config_file import merge_options, paths_fault
from mmlt.datasets import describe_images
from mmlt.engine.augmented_test import with_tta
from mmlt.engine.console import build_runner
from mmlt.engine.guard import guard_runner, guarded
from mmlt.evaluation import ShotAccuracy, format_shot_table, short_names
from mmlt.files import csv_text, write_whole
from mmlt.functional import shot_groups


def parse_args():
    """Read the command line."""
    parser = base_parser('Test checkpoints')
    parser.add_argument(
        'checkpoints',
        nargs='+',
        metavar='CHECKPOINT',
        help='checkpoint file; of several, such as the seeds of one method, also the mean and the '
        'sample standard deviation (n - 1) are printed',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='.json: the metrics: {metric: value} of one checkpoint, {"rows": {checkpoint: '
        '{metric: value}}, "mean": ..., "std": ...} of several; with TTA {"no TTA": ..., '
        '"flip TTA": ...} of these; what has no value is null. .pkl: the predictions of one '
        'checkpoint, with TTA those of the last row',
    )
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what to write: the metrics (default for .json) or every prediction (else)',
    )
    parser.add_argument(
        '--per-class',
        metavar='FILE.csv',
        help='write a line a class: label, name, training images, shot group, test images, and '
        'the accuracy of each row of the table',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test every checkpoint twice: without TTA, and with the logits averaged with those of '
        "the mirror image (or by the config's tta_pipeline); both are printed. To average the "
        'scores: --cfg-options tta_model.type=AverageClsScoreTTA',
    )
    parser.add_argument(
        '--five-crop',
        action='store_true',
        help='test every checkpoint also with the logits averaged over five crops, at the centre '
        'and in the corners of an image resized to a short edge of 31/28 of the crop (248 for 224)',
    )
    # Intermixed: checkpoints may follow flags, as those after GPUS of dist_test.sh do.
    args = parser.parse_intermixed_args()
    if args.out_item and not args.out:
        parser.error('--out-item needs --out FILE')
    if args.out and not args.out.endswith(('.json', '.pkl', '.pickle')):
        parser.error(f'--out must end in .json, .pkl or .pickle, got {args.out}')
    if args.out and not args.out_item:
        args.out_item = 'metrics' if args.out.endswith('.json') else 'pred'
    wanted = {'pred': ('.pkl', '.pickle'), 'metrics': '.json'}.get(args.out_item)
    if wanted and not args.out.endswith(wanted):
        parser.error(f'--out-item {args.out_item} needs a file that ends in {wanted}')
    if args.out_item == 'pred' and len(args.checkpoints) > 1:
        parser.error(f'predictions are of one CHECKPOINT, got {len(args.checkpoints)}')
    if args.per_class and not args.per_class.endswith('.csv'):
        parser.error(f'--per-class must end in .csv, got {args.per_class}')
    if fault := paths_fault(args.config, *args.checkpoints):
        parser.error(fault)
    seen = set()
    for checkpoint in args.checkpoints:
        if os.path.realpath(checkpoint) in seen:
            parser.error(f'CHECKPOINT {checkpoint} is given twice: it would count twice')
        seen.add(os.path.realpath(checkpoint))
    return args


def merge_args(cfg, args):
    """Apply the flags to the config; ``--cfg-options`` last, so that they have the last word."""
    if args.amp:
        cfg.test_cfg.fp16 = True
    # Every loader runs once: workers that outlive it would add up.
    cfg.test_dataloader.persistent_workers = False
    merge_options(cfg, args.cfg_options)
    evaluator = cfg.test_evaluator
    metrics = [evaluator] if isinstance(evaluator, dict) else evaluator
    if args.per_class and not any('ShotAccuracy' in str(metric['type']) for metric in metrics):
        raise SystemExit(f'error: --per-class needs a ShotAccuracy in test_evaluator: {evaluator}')
    return cfg


def test(
    cfg, checkpoint: str, predictions: str | None, full_log: bool
) -> tuple[dict, ShotAccuracy | None]:
    """Test one checkpoint; returns the metrics' values, and ShotAccuracy if it was measured."""
    cfg = deepcopy(cfg)
    cfg.load_from = checkpoint
    # A Runner for each: what a checkpoint lacks must not be filled from the one before.
    runner = build_runner(cfg, full_log)
    guard_runner(runner, train=False)
    metrics = runner.test_evaluator.metrics
    if predictions:
        metrics.append(DumpResults(out_file_path=predictions))
    values = runner.test()
    shot = next((metric for metric in metrics if isinstance(metric, ShotAccuracy)), None)
    return {k: v.tolist() if hasattr(v, 'tolist') else v for k, v in values.items()}, shot


def mean_and_std(rows: dict[str, dict]) -> dict[str, dict]:
    """Mean and sample standard deviation of every scalar over the rows."""
    metrics = list(rows.values())
    scalars = [name for name, value in metrics[0].items() if isinstance(value, (int, float))]
    values = {name: [row[name] for row in metrics] for name in scalars}
    return {
        'mean': {name: float(np.mean(value)) for name, value in values.items()},
        'std': {name: float(np.std(value, ddof=1)) for name, value in values.items()},
    }


def print_report(rows: dict[str, dict]) -> None:
    """The table of ShotAccuracy, if it was measured, and below it a line for every other scalar."""
    table = format_shot_table(rows)
    columns = {f'shot/{column}' for column in table.splitlines()[0].split()}
    names = dict.fromkeys(name for metrics in rows.values() for name in metrics)
    if columns & set(names):
        print(table)
    for name in names:
        cells = {row: metrics.get(name) for row, metrics in rows.items()}
        if name not in columns and all(isinstance(v, (int, float)) for v in cells.values()):
            print(f'{name}: ' + '; '.join(f'{row} {value:.4g}' for row, value in cells.items()))


def write_per_class(path: str, shot: ShotAccuracy, accuracies: dict[str, list]) -> None:
    """Write a line a class; ``accuracies`` has the last columns."""
    names = (shot.dataset_meta or {}).get('classes') or ()
    groups = shot_groups(shot.class_counts, shot.many, shot.few)
    file = io.StringIO(newline='')
    write = csv.writer(file).writerow
    write(['label', 'name', 'train_images', 'shot_group', 'test_images', *accuracies])
    for k, count in enumerate(shot.class_counts):
        name = csv_text(names[k]) if k < len(names) else ''
        group = next(group for group, members in groups.items() if members[k])
        cells = (accuracy[k] for accuracy in accuracies.values())
        cells = ('' if math.isnan(cell) else f'{cell:.4f}' for cell in cells)
        write([k, name, count, group, shot.test_counts[k], *cells])
    write_whole(path, file.getvalue())


def main():
    """Test, print the table, write what was asked for."""
    args = parse_args()
    cfg = merge_args(load_config(args), args)
    modes = {'no TTA': cfg}
    if args.tta:
        modes['TTA' if 'tta_pipeline' in cfg else 'flip TTA'] = with_tta(cfg, '--tta')
    if args.five_crop:
        modes['five-crop TTA'] = with_tta(cfg, '--five-crop')
    several = len(args.checkpoints) > 1

    def title(name, mode):
        return ', '.join([name] * several + [mode] * (len(modes) > 1 or not several))

    table, report, accuracies = {}, {}, {}
    for mode, mode_cfg in modes.items():
        predictions = args.out if args.out_item == 'pred' and mode == list(modes)[-1] else None
        rows = {}
        for name, checkpoint in zip(short_names(args.checkpoints), args.checkpoints):
            rows[name], shot = test(mode_cfg, checkpoint, predictions, args.full_log)
            if args.per_class:
                accuracies[title(name, mode)] = shot.per_class
        summary = mean_and_std(rows) if several else {}
        table |= {title(name, mode): metrics for name, metrics in (rows | summary).items()}
        report[mode] = dict(rows=rows, **summary) if several else rows[name]
    if not is_main_process():
        return
    print(f'tested on {describe_images(cfg.test_dataloader.dataset)}')
    print_report(table)
    if args.out_item == 'metrics':
        report = report if len(modes) > 1 else report['no TTA']
        from mmlt.analysis.files import write_json  # a second of imports that few tests need

        write_json(args.out, report)
    if args.per_class:
        write_per_class(args.per_class, shot, accuracies)


if __name__ == '__main__':
    guarded(main)
