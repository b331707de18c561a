"""Show what the network sees: images after the pipeline and the data preprocessor of a config.

    python tools/analysis_tools/browse_dataset.py CONFIG --out DIR [--num 16] [--split train]

Writes contact sheets as PNG and SVG. Each image is there with all its views, beside each other:
those of the pipeline, or the plain, mixup and cutmix ones of MultiViewDataPreprocessor. Mixed
views name their two classes and the weights in the label. Colours are de-normalised.

Training images are drawn by the config's sampler, the others at random; the same --seed gives the
same sheets.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner, set_random_seed
from mmpretrain.registry import MODELS

import mmlt  # noqa: F401  (registers everything)
from mmlt.analysis import use_scope
from mmlt.commands import Options, run
from mmlt.config_class_counts import add_class_counts, set_class_counts
from mmlt.config_file import merge_options, paths_fault, read_config
from mmlt.models.targets import view_targets
from mmlt.visualization import draw_contact_sheet, save_figure

CELLS = 6  # a row
ROWS = 8  # a sheet


def main(argv=None) -> None:
    """Read the command line, load a batch, write the sheets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the sheets')
    parser.add_argument('--num', type=int, default=16, help='images (default: 16)')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument('--seed', type=int, default=0)
    add_class_counts(parser)
    parser.add_argument(
        '--cfg-options', nargs='+', action=Options, help='settings to override: key=value'
    )
    args = parser.parse_args(argv)
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}')
    if fault := paths_fault(args.config):
        parser.error(fault)
    cfg = read_config(args.config)
    if args.class_counts:
        cfg = set_class_counts(cfg, args.class_counts)
    merge_options(cfg, args.cfg_options)
    if not cfg.get(f'{args.split}_dataloader'):
        parser.error(f'{args.config} has no {args.split}_dataloader')
    images, captions, views = load_views(cfg, args.split, args.num, args.seed)
    title = f'{Path(args.config).stem}, {args.split} split'
    for path in write_sheets(images, captions, views, Path(args.out) / args.split, title):
        print(f'{path}: written')


def load_views(cfg: Config, split: str, num: int, seed: int) -> tuple[np.ndarray, list[str], int]:
    """Load a batch; return all first views, all second ones, ..., their captions, and how many."""
    use_scope(cfg)
    set_random_seed(seed)
    preprocessor = build_preprocessor(cfg)
    loader = build_loader(cfg, split, num, seed)
    batch = preprocessor(next(iter(loader)), training=split == 'train')
    images = to_rgb(batch['inputs'], preprocessor, is_bgr(cfg, split))
    samples = batch['data_samples']
    labels = [int(sample.gt_label[0]) for sample in samples]
    names = loader.dataset.metainfo.get('classes')
    targets = view_targets(samples)
    return images, write_captions(labels, targets, names, preprocessor), len(targets)


def build_preprocessor(cfg: Config):
    """The data preprocessor as the model has it: model settings may add batch augments."""
    model = cfg.model.copy()
    # As a Runner does; the model's other parts are built along with it, but not initialised.
    model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    return MODELS.build(model).data_preprocessor


def build_loader(cfg: Config, split: str, num: int, seed: int):
    """The config's data loader, in this process, with batches of the wanted size."""
    loader = cfg[f'{split}_dataloader'].copy()
    loader.update(batch_size=num, num_workers=0, persistent_workers=False, drop_last=False)
    loader.setdefault('collate_fn', ConfigDict(type='default_collate'))
    loader.pop('prefetch_factor', None)
    if split != 'train':
        loader.sampler = ConfigDict(type='DefaultSampler', shuffle=True)
    return Runner.build_dataloader(loader, seed=seed)


def is_bgr(cfg: Config, split: str) -> bool:
    """Whether the pipeline gives BGR: OpenCV reads files so, images in memory are RGB here."""

    def loads_files(part) -> bool:
        if isinstance(part, dict):
            return 'LoadImage' in str(part.get('type')) or any(map(loads_files, part.values()))
        return isinstance(part, list | tuple) and any(map(loads_files, part))

    return loads_files(cfg[f'{split}_dataloader'].dataset.to_dict())


def to_rgb(images: torch.Tensor, preprocessor, bgr: bool) -> np.ndarray:
    """Take mean and standard deviation off again: (N, H, W, 3) uint8."""
    if hasattr(preprocessor, 'mean'):
        images = images * preprocessor.std + preprocessor.mean
    if bgr and not preprocessor.to_rgb:
        images = images.flip(1)
    return images.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def write_captions(labels: list[int], targets: tuple, names, preprocessor) -> list[str]:
    """View and label of each image; of a mixed one both labels, with their weights."""

    def name(k: int) -> str:
        # ImageNet's names are lists of synonyms.
        return names[k].split(',')[0][:20] if names else f'class {k}'

    def lines_of(label: int, target: torch.Tensor) -> list[str]:
        if target.dim() == 0:
            return [name(label)]
        # The own label first, also where it weighs less.
        others = [k for k in target.topk(2).indices.tolist() if k != label]
        weights = {k: float(target[k]) for k in [label, *others[:1]]}
        mixed = {k: weight for k, weight in weights.items() if weight > 0}
        return (
            [name(label)]
            if set(mixed) == {label}
            else [f'{name(k)} ({weight:.2f})' for k, weight in mixed.items()]
        )

    views = getattr(preprocessor, 'views', ('pipeline',))
    captions = []
    for view, target in enumerate(targets):
        kind = f'view {view}' if views == ('pipeline',) else views[view]
        for number, (label, row) in enumerate(zip(labels, target), start=1):
            head = [f'{number}: {kind}'] if len(targets) > 1 else []
            captions.append('\n'.join(head + lines_of(label, row)))
    return captions


def write_sheets(images: np.ndarray, captions: list[str], views: int, path: Path, title: str):
    """Write as many sheets as it takes, the views of an image side by side; yield the files."""
    number = len(images) // views
    wide = max(1, CELLS // views)
    order = [view * number + i for i in range(number) for view in range(views)]
    step = ROWS * wide * views
    for sheet, start in enumerate(range(0, len(order), step)):
        part = order[start : start + step]
        fig = draw_contact_sheet(
            [images[i] for i in part],
            [captions[i] for i in part],
            wide * views,
            'What the network sees',
            title,
        )
        yield from save_figure(fig, f'{path}_{sheet}')


if __name__ == '__main__':
    run(main)
