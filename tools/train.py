"""Train a model: ``python tools/train.py CONFIG``.

Ends with the accuracy of the last epoch on classes with many, medium and few training images, below
a line that says which images were tested. If there was more than one validation, the best epoch's
is above it and says what it was chosen on. A resumed run may not know the validation of the epoch
that it resumed from, as the checkpoint was written before it; "best of" counts those it knows.
"""

import contextlib
import logging
import os

from _cli import base_parser, load_config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop

import mmlt  # noqa: F401  (registers everything, before a Runner is built)
from mmlt.config_file import merge_options, paths_fault
from mmlt.datasets import describe_images, same_images, training_draw
from mmlt.engine.console import build_runner
from mmlt.engine.fast_data import augment_in_batches, keep_in_memory
from mmlt.engine.guard import guard_process, guard_runner, guarded, resume_path
from mmlt.evaluation import format_shot_table


def parse_args():
    """Read the command line."""
    parser = base_parser('Train a model')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint; without a path, from the newest one of the work dir '
        'that loads, or start as without --resume if there is none; load_from is ignored by a '
        'resumed run',
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size (auto_scale_lr.base_batch_size)',
    )
    parser.add_argument(
        '--fast',
        nargs='?',
        const='eager',
        choices=['eager', 'compile'],
        help='bfloat16 autocast and channels-last layout; "compile" also compiles the backbone',
    )
    parser.add_argument(
        '--batch-augment',
        action='store_true',
        help="augment small images in whole batches, on the model's device: the same distribution, "
        'other random draws',
    )
    parser.add_argument(
        '--in-memory',
        nargs='?',
        type=float,
        const=1024,
        metavar='MIB',
        help='decode each training image once; every process that loads keeps up to MIB of pixels '
        '(default 1024), and data workers persist',
    )
    parser.add_argument('--no-persistent-workers', action='store_true', help='restart data workers')
    args = parser.parse_args()
    if args.amp and args.fast:
        parser.error('--amp is float16 and --fast bfloat16: take one of them')
    given = [args.resume] if args.resume not in (None, 'auto') else []
    if fault := paths_fault(args.config, *given):
        parser.error(fault)
    return args


def merge_args(cfg, args):
    """Apply the flags to the config; ``--cfg-options`` have the last word, but for ``--resume``."""
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.fast:
        # The loss and the class vectors stay float32: TripartiteHead sees to that.
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.dtype = 'bfloat16'
        cfg.default_hooks.fast_step = dict(type='FastStepHook', compile=args.fast == 'compile')
    if args.in_memory is not None:
        keep_in_memory(cfg, args.in_memory)
    if args.batch_augment:
        augment_in_batches(cfg)
    if args.no_persistent_workers:
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if cfg.get(name):
                cfg[name].persistent_workers = False
    merge_options(cfg, args.cfg_options)
    if args.auto_scale_lr:
        if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
            raise SystemExit(
                'error: --auto-scale-lr needs to know for how many images a step the rate was '
                'chosen: --cfg-options auto_scale_lr.base_batch_size=64'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume or (cfg.get('resume') and not cfg.get('load_from')):
        last = resume_path(cfg.work_dir, None if args.resume == 'auto' else args.resume)
        cfg.resume = last is not None
        cfg.load_from = last or cfg.get('load_from')
    return cfg


class ValidationHistory(Hook):
    """Notes which epoch (or iteration) had which accuracies; checkpoints carry the notes along."""

    def before_train(self, runner):
        """Note which images are trained on, where the dataset tells its labels."""
        with contextlib.suppress(TypeError):
            draw = training_draw(runner.train_dataloader.dataset)
            runner.message_hub.update_info('training_draw', draw)

    def after_val_epoch(self, runner, metrics=None):
        """Note the metrics of ShotAccuracy."""
        shot = {name: value for name, value in metrics.items() if name.startswith('shot/')}
        history = runner.message_hub.get_info('shot_history', {})
        runner.message_hub.update_info('shot_history', history | {progress(runner)[1]: shot})


def progress(runner) -> tuple[str, int]:
    """Unit and number of what has been trained."""
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        return 'iteration', runner.iter
    return 'epoch', runner.epoch


def chosen_on(cfg) -> str:
    """What the best of several validations was chosen on."""
    val, test = (cfg.get(name) for name in ('val_dataloader', 'test_dataloader'))
    if not test or same_images(val.dataset, test.dataset):
        return 'on the test set'
    return 'on the validation set'


def table_rows(runner) -> dict[str, dict]:
    """The rows of the table: the best of several validations, then the last one."""
    history = runner.message_hub.get_info('shot_history')
    unit, last = progress(runner)
    rows = {}
    if len(history) > 1:
        best = max(history, key=lambda step: history[step].get('shot/all', 0))
        name = f'{unit} {best} (best of {len(history)} {chosen_on(runner.cfg)})'
        rows[name] = history[best]
    return rows | {f'{unit} {last} (last)': history[last]}


def main():
    """Train, then print the table."""
    args = parse_args()
    cfg = merge_args(load_config(args), args)
    guard_process(cfg)
    runner = build_runner(cfg, args.full_log)
    if not cfg.get('resume') and os.path.isfile(os.path.join(cfg.work_dir, 'last_checkpoint')):
        print_log(
            f'the work dir {cfg.work_dir} holds a run already, whose files this one mixes with and '
            'writes over: --resume goes on with it, another --work-dir keeps it',
            'current',
            logging.WARNING,
        )
    guard_runner(runner)
    runner.register_hook(ValidationHistory())
    runner.train()
    if runner.val_loop is None:
        return
    if progress(runner)[1] not in runner.message_hub.get_info('shot_history', {}):
        runner.val_loop.run()  # the run had ended before, perhaps during its last validation
    rows = table_rows(runner)
    if any(rows.values()) and is_main_process():
        print(f'validated on {describe_images(cfg.val_dataloader.dataset)}')
        print(format_shot_table(rows))


if __name__ == '__main__':
    guarded(main)
