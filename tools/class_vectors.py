"""Write the class vectors that a head begins from: of text, or means of the training images.

    python tools/class_vectors.py text CLIP_FOLDER --names cifar100 --out cifar100_clip.pth
    python tools/class_vectors.py means CONFIG [CHECKPOINT] --out means.pth

A head begins with them by
    --cfg-options model.head.init_cfg.type=ClassVectors model.head.init_cfg.file=FILE
The file holds one unit row a class (K, D), the class names and what it was made from. The names
must be those of the training set, in its order; underscores and case do not count.
"""

import argparse
import os

import torch

import mmlt
from mmlt.analysis.class_means import class_means
from mmlt.clip import read_class_names, read_clip, read_templates, text_vectors
from mmlt.clip.prompts import ENSEMBLES, TEMPLATE
from mmlt.commands import Options, refuse_existing, run
from mmlt.config_class_counts import add_class_counts, set_class_counts
from mmlt.config_file import merge_options, paths_fault, read_config
from mmlt.models.class_vectors import load_class_vectors, save_class_vectors

TEXT = """Class vectors of the text tower of a CLIP model (LIFT's start).

The folder is in the Hugging Face form: config.json, vocab.json, merges.txt, model.safetensors. It
is read with transformers (pip install 'mmlt[text]'), without network. Each prompt's feature is
brought to unit length, averaged over the templates, brought to unit length, and taken back through
the projection of the image tower, to the width of the class token (ViT-B/16: 768). So the backbone
of the config must be the image tower of the same model: tools/model_converters/convert_clip.py.
"""
MEANS = """Class vectors without text: mean features of the training images of a config.

Each image is seen once, through the test pipeline, without augmentation. Without CHECKPOINT the
weights are those that the model begins from (model.backbone.init_cfg).
"""


def parse_args(argv) -> argparse.Namespace:
    """Read the command line."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    kinds = parser.add_subparsers(dest='kind', required=True, metavar='text|means')
    text = kinds.add_parser('text', description=TEXT, formatter_class=shape)
    text.add_argument('clip_folder', help='folder of a CLIP model')
    text.add_argument(
        '--names',
        required=True,
        metavar='cifar100|imagenet|FILE',
        help="mmpretrain's names of CIFAR-100; CLIP's curated names of ImageNet's classes; or a "
        'text file with a class a line, in label order, the words of the prompt behind a tab '
        'where they differ from the name in the data set',
    )
    text.add_argument(
        '--template',
        nargs='+',
        default=[TEMPLATE],
        help=f"texts with {{}} for the name (default '{TEMPLATE}', as LIFT; '{{}}' for the bare "
        f'name), or ensembles of CLIP: {", ".join(ENSEMBLES)}',
    )
    text.add_argument(
        '--no-projection',
        action='store_true',
        help='leave the text feature as it is (ViT-B/16: 512), for a head behind the projection',
    )
    means = kinds.add_parser('means', description=MEANS, formatter_class=shape)
    means.add_argument('config', help='config file of a training')
    means.add_argument('checkpoint', nargs='?', help='checkpoint file')
    means.add_argument('--unit-features', action='store_true', help='mean of unit features')
    means.add_argument('--amp', action='store_true', help='mixed precision')
    add_class_counts(means)
    means.add_argument(
        '--cfg-options', nargs='+', action=Options, help='settings to override: key=value'
    )
    for kind in (text, means):
        kind.add_argument('--out', required=True, metavar='FILE.pth', help='what to write')
    args = parser.parse_args(argv)
    if not args.out.endswith('.pth'):
        parser.error(f'--out must end with .pth, got {args.out}')
    refuse_existing(parser, args.out)
    if args.kind == 'means':
        given = [args.checkpoint] if args.checkpoint else []
        if fault := paths_fault(args.config, *given):
            parser.error(fault)
    return args


def of_text(args: argparse.Namespace) -> tuple:
    """Vectors, names and what they were made from."""
    names, words = read_class_names(args.names)
    templates = read_templates(args.template)
    model, tokenizer = read_clip(args.clip_folder)
    model.to('cuda' if torch.cuda.is_available() else 'cpu')
    vectors = text_vectors(model, tokenizer, words, templates, not args.no_projection)
    meta = dict(kind='text', clip=os.path.basename(os.path.realpath(args.clip_folder)))
    meta |= dict(templates=args.template, projected=not args.no_projection, words=words)
    return vectors, names, meta


def of_images(args: argparse.Namespace) -> tuple:
    """Vectors, names and what they were made from."""
    cfg = read_config(args.config)
    if args.class_counts:
        cfg = set_class_counts(cfg, args.class_counts)
    merge_options(cfg, args.cfg_options)
    means = class_means(cfg, args.checkpoint, args.amp, args.unit_features)
    weights = args.checkpoint or (cfg.model.get('backbone', {}).get('init_cfg') or {})
    weights = weights if isinstance(weights, str) else weights.get('checkpoint', 'its own start')
    meta = dict(kind='class means', config=os.path.basename(args.config))
    meta |= dict(weights=os.path.basename(str(weights)), unit_features=args.unit_features)
    meta |= dict(amp=args.amp, images=means.counts)
    return means.vectors, means.names, meta


def main(argv=None) -> None:
    """Compute the vectors, write them, say what they are."""
    args = parse_args(argv)
    vectors, names, meta = (of_text if args.kind == 'text' else of_images)(args)
    save_class_vectors(args.out, vectors, names, dict(meta, mmlt=mmlt.__version__))
    rows = load_class_vectors(args.out).vectors
    cosines = (rows @ rows.T).fill_diagonal_(-1)
    i, k = divmod(int(cosines.argmax()), len(rows))
    near = ' and '.join(repr(names[n]) if names else f'class {n}' for n in (i, k))
    print(f'{args.out}: {len(rows)} class vectors of width {rows.shape[1]}')
    print(f'nearest: {near}, cosine {cosines.max():.4f}')
    if not names:
        print('the data set tells no class names: their order cannot be checked')


if __name__ == '__main__':
    run(main)
