"""Name what is on photos: ``python tools/predict.py CONFIG CHECKPOINT new/*.jpg --out x.csv``.

The images go through the pipeline of the test set. Neither training images nor the file of class
counts are needed: names and counts stand in the checkpoint.
"""

import argparse
import contextlib
import csv
import io
import logging
import sys
from pathlib import Path

from mmengine.logging import MMLogger

import mmlt  # noqa: F401  (registers everything)
from mmlt.analysis.predictor import Predictor, find_images
from mmlt.commands import Options, run
from mmlt.config_file import merge_options, paths_fault, read_config
from mmlt.files import csv_text, printable, write_whole


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help='config file, of the work dir or your own')
    add('checkpoint', help='checkpoint file')
    add('images', nargs='+', type=Path, help='images, or folders of images')
    add('--topk', type=int, default=1, metavar='K', help='how many classes of each image')
    add('--out', metavar='FILE.csv', help='write the predictions there; they are printed if not')
    add('--batch-size', type=int, default=32, help='images at a time')
    add('--device', help='cpu, cuda or cuda:1; the GPU if there is one')
    add('--cfg-options', nargs='+', action=Options, help='settings to override')
    args = parser.parse_args()
    if fault := paths_fault(args.config, args.checkpoint):
        parser.error(fault)
    if args.out and not args.out.endswith('.csv'):
        parser.error(f'--out must end in .csv, got {args.out}')
    return args


def main() -> None:
    """Predict, then write a line an image."""
    args = parse_args()
    images, unread = find_images(args.images)
    with _told_on_stderr():
        cfg = read_config(args.config)
        merge_options(cfg, args.cfg_options)
        predictor = Predictor(cfg, args.checkpoint, args.device)
        rows, faults = predictor(images, args.topk, args.batch_size)
    faults = unread + faults
    file = io.StringIO(newline='')
    write = csv.writer(file).writerow
    write(['image', *(f'{what}_{k + 1}' for k in range(args.topk) for what in ('class', 'score'))])
    for path, found in rows:
        cells = (cell for name, score in found for cell in (csv_text(name), f'{score:.4f}'))
        write([csv_text(path), *cells])
    if args.out:
        write_whole(args.out, file.getvalue())
        print(f'{args.out}: {len(rows)} images')
    else:
        print(file.getvalue(), end='')
    for path, reason in faults:
        print(f'skipped {printable(path)}: {printable(reason)}', file=sys.stderr)
    if faults:
        sys.exit(f'error: {len(faults)} of {len(faults) + len(rows)} images could not be read')


@contextlib.contextmanager
def _told_on_stderr():
    """Send what others print and log to stderr: stdout is a table that the next program reads."""
    for handler in MMLogger.get_current_instance().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        yield


if __name__ == '__main__':
    run(main)
