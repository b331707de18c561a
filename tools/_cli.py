"""What train.py and test.py have in common; the flags are mmpretrain's."""

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict

from mmlt.checkpoint import trust
from mmlt.commands import Options
from mmlt.config_class_counts import add_class_counts, config_name, set_class_counts
from mmlt.config_file import read_config


def base_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the flags of both tools."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and results')
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument('--no-pin-memory', action='store_true', help='no pinned memory for batches')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        help='settings to override, such as train_cfg.max_epochs=5 or key="[a,b]"',
    )
    add_class_counts(parser)
    parser.add_argument(
        '--trust-checkpoint',
        action='append',
        default=[],
        metavar='FILE',
        help='load this checkpoint by pickle, which runs whatever the file says with your rights: '
        'for an old file of your own that holds more than weights; may be repeated',
    )
    parser.add_argument(
        '--full-log', action='store_true', help='print all that the log file has, config and all'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # Set by torchrun's predecessors.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the flags of both tools."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    for checkpoint in args.trust_checkpoint:
        trust(checkpoint)
    cfg = read_config(args.config)
    cfg.launcher = args.launcher
    name = Path(args.config).stem
    if args.class_counts:
        cfg = set_class_counts(cfg, args.class_counts)
        name = config_name(args.config, args.class_counts)
    if args.work_dir or args.class_counts or not cfg.get('work_dir'):
        cfg.work_dir = args.work_dir or os.path.join('work_dirs', name)
    pin_memory = torch.cuda.is_available() and not args.no_pin_memory
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name):
            defaults = dict(pin_memory=pin_memory, collate_fn=dict(type='default_collate'))
            cfg[name] = ConfigDict(defaults | cfg[name])
    return cfg
