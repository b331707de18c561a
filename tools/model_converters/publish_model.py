"""Make a checkpoint to hand on: ``publish_model.py work_dirs/RUN/epoch_200.pth --out model.pth``.

Keeps what a test needs, class names and counts, the hash of the training images and the config;
leaves out optimizer, logs, projectors, memory and companions. Prints what each part takes. The file
becomes ``model-HASH.pth`` and loads anywhere, without mmlt too; the model needs ``import mmlt``.

    publish_model.py CHECKPOINT --out model.pth --fold-tuner CONFIG

writes LoRA, SSF or BitFit into the backbone: the file is that of an ``ImageClassifier``.
"""

import argparse

import mmlt  # noqa: F401  (registers everything)
from mmlt.analysis.loading import open_model, use_scope
from mmlt.commands import run
from mmlt.config_file import paths_fault, read_config
from mmlt.deployment import fold_tuner, publish


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', help='checkpoint of a training')
    parser.add_argument('--out', required=True, metavar='FILE.pth', help='what to write')
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='load it by pickle, which runs whatever the file says with your rights: for an old '
        'file of your own that holds more than weights',
    )
    parser.add_argument(
        '--fold-tuner',
        metavar='CONFIG',
        help='config of a TunedClassifier: write its tuner into the weights of the backbone',
    )
    args = parser.parse_args()
    if args.fold_tuner and (fault := paths_fault(args.fold_tuner, args.checkpoint)):
        parser.error(fault)
    return args


def main() -> None:
    """Publish, then say what went."""
    args = parse_args()
    if args.trust_checkpoint:
        mmlt.checkpoint.trust(args.checkpoint)
    source = args.checkpoint
    if args.fold_tuner:
        cfg = read_config(args.fold_tuner)
        use_scope(cfg)
        model, loaded = open_model(cfg, args.checkpoint)
        source = fold_tuner(model, cfg, loaded)
    target, before, after = publish(source, args.out)
    for part in before:
        print(f'{part:24}{before[part] / 1e6:10.2f} MB{after.get(part, 0) / 1e6:10.2f} MB')
    print(f'{"sum of tensors":24}{sum(before.values()) / 1e6:10.2f} MB'
          f'{sum(after.values()) / 1e6:10.2f} MB')  # fmt: skip
    published = mmlt.checkpoint.load(target)
    names = (published['meta'].get('dataset_meta') or {}).get('classes') or ()
    draw = published['meta'].get('training_draw', 'not noted')
    print(f'classes: {len(names) or "no names"}; training images: {draw}')
    print(target)


if __name__ == '__main__':
    run(main)
