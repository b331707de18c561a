"""Test a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``.

Prints the accuracy on classes with many, medium and few training images. ``--tta`` averages the
scores of an image and of its mirror image; say so when you quote such a number.
"""

from copy import deepcopy

import mmengine
from _cli import base_parser, load_config
from mmengine.config import ConfigDict
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.runner import Runner
from mmpretrain.registry import RUNNERS

import mmlt  # noqa: F401  (registers everything, before a Runner is built)
from mmlt.evaluation import format_shot_table


def parse_args():
    """Read the command line."""
    parser = base_parser('Test a checkpoint')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='file for the results, .json or .pkl')
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what to write: the metrics (default for .json) or every prediction (else)',
    )
    parser.add_argument('--tta', action='store_true', help='average with the mirror image')
    args = parser.parse_args()
    if args.out_item and not args.out:
        parser.error('--out-item needs --out FILE')
    if args.out and not args.out.endswith(('.json', '.pkl', '.pickle')):
        parser.error(f'--out must end in .json, .pkl or .pickle, got {args.out}')
    if args.out and not args.out_item:
        args.out_item = 'metrics' if args.out.endswith('.json') else 'pred'
    if args.out_item == 'pred' and args.out.endswith('.json'):
        parser.error('--out-item pred needs a .pkl file')
    return args


def merge_args(cfg, args):
    """Apply the flags to the config; ``--cfg-options`` last, so that they have the last word."""
    cfg.load_from = args.checkpoint
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.tta:
        cfg.setdefault('tta_model', dict(type='AverageClsScoreTTA'))
        pipeline = cfg.test_dataloader.dataset.pipeline
        if 'tta_pipeline' not in cfg:
            flips = [dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)]
            cfg.tta_pipeline = deepcopy(pipeline[:-1])
            cfg.tta_pipeline.append(
                dict(type='TestTimeAug', transforms=[flips, [deepcopy(pipeline[-1])]])
            )
        cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def main():
    """Test, print the table, write what was asked for."""
    args = parse_args()
    cfg = merge_args(load_config(args), args)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if args.out_item == 'pred':
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    metrics = runner.test()
    if is_main_process():
        print(format_shot_table({'flip TTA' if args.tta else 'no TTA': metrics}))
        if args.out_item == 'metrics':
            mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    main()
