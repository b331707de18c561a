"""Write a classifier as ONNX: ``export_onnx.py CONFIG CHECKPOINT --out model.onnx``.

The graph holds normalisation, network and head with its test-time adjustment; decoding, resizing
and cropping stay outside. Its input is the image as decoded, 0 to 255; its outputs are ``scores``
and ``logits``. The batch size is free. onnxruntime computes the same images as torch, and the
largest difference is printed. Class names are written into the file.

    export_onnx.py CONFIG CHECKPOINT --out model.onnx --cfg-options \\
        model.head.adjustment.type=LogitAdjustment
"""

import argparse

from mmengine.registry import init_default_scope

import mmlt  # noqa: F401  (registers everything)
from mmlt.analysis.loading import open_model
from mmlt.commands import Options, run
from mmlt.config_file import merge_options, paths_fault, read_config
from mmlt.deployment import export_onnx
from mmlt.deployment.onnx_file import image_size


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, of the work dir or your own')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, metavar='FILE.onnx', help='what to write')
    parser.add_argument(
        '--size', type=int, nargs='+', metavar='N', help='height and width; read from the pipeline'
    )
    parser.add_argument(
        '--no-preprocessing', action='store_true', help='the input is normalised already'
    )
    parser.add_argument('--cfg-options', nargs='+', action=Options, help='settings to override')
    args = parser.parse_args()
    if fault := paths_fault(args.config, args.checkpoint):
        parser.error(fault)
    if not args.out.endswith('.onnx'):
        parser.error(f'--out must end in .onnx, got {args.out}')
    if args.size and (len(args.size) > 2 or min(args.size) < 1):
        parser.error(f'--size must be one or two numbers > 0, got {args.size}')
    return args


def main() -> None:
    """Export, then say what the file takes and how exact it is."""
    args = parse_args()
    cfg = read_config(args.config)
    merge_options(cfg, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model, loaded = open_model(cfg, args.checkpoint)
    size = tuple((args.size * 2)[:2]) if args.size else image_size(cfg)
    meta = loaded.get('meta') or {}
    classes = (meta.get('dataset_meta') or {}).get('classes')
    found = export_onnx(model, args.out, size, classes, not args.no_preprocessing)
    print(f'input image: {found["input"]}')
    adjustment = getattr(model.head, 'adjustment', None)
    print(f'outputs scores, logits: (N, {model.head.num_classes}); adjustment: {adjustment}')
    print(
        f'largest difference to torch: scores {found["scores"]:.1e}, logits {found["logits"]:.1e}'
    )
    print(args.out)


if __name__ == '__main__':
    run(main)
