"""Write a report of a checkpoint: accuracy, calibration and geometry by shot group, and pictures.

    python tools/analysis_tools/analyze_model.py CONFIG CHECKPOINT --out DIR [--split test]

Goes over the images once and writes into DIR: index.html, one page with everything in it;
report.json; per_class.csv, and per_class.html that sorts; predictions.npz; geometry.npz; each
picture as PNG and SVG. compare_models.py lays such folders side by side. The pictures also go to
the visualisation backends of the config other than LocalVisBackend, such as
TensorboardVisBackend.

The features are kept in memory, N x D float32: 1 GB for 120,000 images of width 2048. Training
images (--split train) go through the pipeline of the test, without augmentation. "test_images" are
then those of the split.
"""

import argparse

import mmlt  # noqa: F401  (registers everything)
from mmlt.analysis import analyze
from mmlt.commands import Options, run
from mmlt.config_class_counts import add_class_counts, set_class_counts
from mmlt.config_file import merge_options, paths_fault, read_config


def main(argv=None) -> None:
    """Read the command line, measure, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the report')
    parser.add_argument('--split', choices=['test', 'train', 'val'], default='test')
    add_class_counts(parser)
    parser.add_argument('--name', help="the model's name in tables (default: the config's)")
    parser.add_argument(
        '--max-per-class', type=int, default=50, help='samples of a class in t-SNE (default: 50)'
    )
    parser.add_argument('--seed', type=int, default=0, help='of t-SNE (default: 0)')
    parser.add_argument('--no-tsne', action='store_true', help='leave t-SNE out, the slow part')
    parser.add_argument(
        '--cfg-options', nargs='+', action=Options, help='settings to override: key=value'
    )
    args = parser.parse_args(argv)
    if fault := paths_fault(args.config, args.checkpoint):
        parser.error(fault)
    if args.max_per_class < 1:
        parser.error(f'--max-per-class must be at least 1, got {args.max_per_class}')
    cfg = read_config(args.config)
    if args.class_counts:
        cfg = set_class_counts(cfg, args.class_counts)
    merge_options(cfg, args.cfg_options)
    if not cfg.get(f'{args.split}_dataloader'):
        parser.error(f'{args.config} has no {args.split}_dataloader')
    page = analyze(
        cfg, args.checkpoint, args.out, split=args.split, name=args.name, seed=args.seed,
        max_per_class=None if args.no_tsne else args.max_per_class,
    )  # fmt: skip
    print(f'{page}: written, and beside it the data and pictures')


if __name__ == '__main__':
    run(main)
