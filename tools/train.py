"""Train a model: ``python tools/train.py CONFIG``.

Ends with the accuracy of the last epoch (not of the best one) on classes with many, medium and few
training images.
"""

from _cli import base_parser, load_config
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from mmpretrain.registry import RUNNERS

import mmlt  # noqa: F401  (registers everything, before a Runner is built)
from mmlt.evaluation import format_shot_table


def parse_args():
    """Read the command line."""
    parser = base_parser('Train a model')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint; without a path, from the last one of the work dir',
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size (auto_scale_lr.base_batch_size)',
    )
    parser.add_argument('--no-persistent-workers', action='store_true', help='restart data workers')
    return parser.parse_args()


def merge_args(cfg, args):
    """Apply the flags to the config; ``--cfg-options`` last, so that they have the last word."""
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.auto_scale_lr:
        cfg.setdefault('auto_scale_lr', {})['enable'] = True
    if args.no_persistent_workers:
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if cfg.get(name):
                cfg[name].persistent_workers = False
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def last_metrics(runner) -> dict:
    """The newest value of every validation metric."""
    scalars = runner.message_hub.log_scalars
    return {
        name.removeprefix('val/'): buffer.current()
        for name, buffer in scalars.items()
        if name.startswith('val/shot/')
    }


def main():
    """Train, then print the table."""
    args = parse_args()
    cfg = merge_args(load_config(args), args)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.train()
    metrics = last_metrics(runner)
    if metrics and is_main_process():
        print(format_shot_table({f'epoch {runner.epoch} (last)': metrics}))


if __name__ == '__main__':
    main()
