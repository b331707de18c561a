"""Check a config before it trains: ``python tools/check.py CONFIG [CHECKPOINT]``.

Builds everything, compares counts and names, takes one batch forward and backward, and says OK or
what to change. Nothing is written but to a temporary folder.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import torch
from _cli import base_parser, load_config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

import mmlt  # noqa: F401  (registers everything, before a Runner is built)
from mmlt.checkpoint import CheckpointError
from mmlt.config_file import merge_options, paths_fault
from mmlt.engine.config_check import Finding, check_runner


def parse_args():
    """Read the command line."""
    parser = base_parser('Check a config before it trains')
    parser.add_argument('checkpoint', nargs='?', help='check that it fits, too')
    args = parser.parse_args()
    if fault := paths_fault(args.config, *([args.checkpoint] if args.checkpoint else [])):
        parser.error(fault)
    return args


def build(args, folder: str) -> Runner:
    """The runner of the config, which writes to ``folder`` and starts no worker."""
    cfg = load_config(args)
    cfg.work_dir, cfg.log_level = folder, 'ERROR'
    merge_options(cfg, args.cfg_options)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name):
            # An error in a worker would name the worker's line, not the image.
            cfg[name].update(num_workers=0, persistent_workers=False)
    cfg.load_from, cfg.resume = args.checkpoint or cfg.get('load_from'), False
    cfg.visualizer = None
    cfg.experiment_name = Path(folder).name  # Runners of one name share their logs
    return Runner.from_cfg(cfg)


def main() -> int:
    """Print the findings; 1 if one of them is a fault."""
    warnings.simplefilter('ignore')
    args = parse_args()
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            runner = build(args, folder)
            MMLogger.get_current_instance().setLevel('ERROR')
            for finding in check_runner(runner, args.checkpoint):
                print(finding, flush=True)
                faults += finding.kind == 'FAULT'
        except _USER_ERRORS as error:
            print(Finding('FAULT', 'build', ' '.join(str(error).split()) or repr(error)))
            faults += 1
        logger = MMLogger.get_current_instance()
        for handler in list(logger.handlers):  # its log file goes with the folder
            handler.close()
            logger.removeHandler(handler)
    print('OK' if not faults else 'NOT OK: mend the line marked FAULT, then check again')
    return 1 if faults else 0


_USER_ERRORS = (
    CheckpointError, ValueError, TypeError, KeyError, AttributeError, AssertionError, ImportError,
    RuntimeError, OSError, SyntaxError, torch.cuda.OutOfMemoryError,
)  # fmt: skip


if __name__ == '__main__':
    sys.exit(main())
