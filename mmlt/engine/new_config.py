"""The text of a config for a folder of one's own photos."""

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from mmlt.class_counts import load_class_counts
from mmlt.datasets.image_check import is_photo
from mmlt.datasets.photo_folder import read_classes, visible
from mmlt.engine.backbones import Backbone, find_backbone

METHODS = {
    'ce': 'cross-entropy, the baseline',
    'bs': 'balanced softmax',
    'dbm-bs': 'DBM margins on balanced softmax',
    'bce3s': 'BCE3S, both stages in one run',
    'bcl': 'balanced contrastive learning, three views of each image',
}
# Of 32 images a step. Contrast at a high rate collapses: all projections become one. What was tried
# stands in tools/README.md.
RATES = {'ce': 0.06, 'bs': 0.06, 'dbm-bs': 0.06, 'bce3s': 0.02, 'bcl': 0.06}
RATE_ADAM = 2.5e-4


@dataclass
class Photos:
    """What a folder of split_folder.py holds."""

    counts: list[int]
    has_val: bool
    val_lacks: bool
    test_lacks: bool


def look_at(data: Path) -> Photos:
    """Read counts and names, and compare them with the folders.

    Raises:
        FileNotFoundError: no ``classes.txt``, ``counts.json``, ``train`` or ``test``.
        ValueError: counts that are not those of the names or of the folders.
    """
    names = read_classes(data)
    counts = load_class_counts(str(data / 'counts.json'))
    if len(counts) != len(names):
        raise ValueError(
            f'{data / "counts.json"} has {len(counts)} classes, classes.txt has {len(names)}'
        )
    found = {part: _count(data / part, names) for part in ('train', 'val', 'test')}
    for part in ('train', 'test'):
        if not sum(found[part]):
            raise FileNotFoundError(f'{data / part} holds no images of the classes')
    wrong = [k for k, count in enumerate(counts) if count != found['train'][k]]
    if wrong:
        k = wrong[0]
        source, target = (shlex.quote(str(data / name)) for name in ('train', 'counts.json'))
        raise ValueError(
            f'{data / "counts.json"} has {counts[k]} images of {names[k]!r}, {data / "train"} has '
            f'{found["train"][k]}: were images moved? Split anew, or '
            f'python -m mmlt count_classes {source} --out {target} --overwrite'
        )
    return Photos(counts, sum(found['val']) > 0, min(found['val']) == 0, min(found['test']) == 0)


def config_text(
    data: Path,
    out: Path,
    method: str,
    backbone: str = 'resnet18',
    size: int = 64,
    epochs: int = 20,
    batch_size: int | None = None,
    rate: float | None = None,
    pretrained: bool = False,
    backbone_options: dict | None = None,
    runtime: str = '',
    workers: int = 4,
    warmup: int | None = None,
) -> tuple[str, Backbone]:
    """Write the config of a method for the photos of ``split_folder.py``.

    Args:
        data (Path): folder with train, test, perhaps val, counts.json and classes.txt.
        out (Path): where the config will stand; the data are found from there.
        method (str): one of :data:`METHODS`.
        backbone (str): see :func:`find_backbone`.
        size (int): edge of the images in pixels, 32 to 512.
        epochs (int): length of the training, >= 2.
        batch_size (int, optional): images a step. Defaults to None: 32, less for few images.
        rate (float, optional): peak learning rate. Defaults to None: by method and batch.
        pretrained (bool): begin from the zoo's weights, which are downloaded.
        backbone_options (dict, optional): arguments of the backbone.
        runtime (str): text of the runtime settings.
        workers (int): processes that load images.
        warmup (int, optional): epochs in which the rate rises to its peak, >= 1. Defaults to None:
            a tenth of the training, 5 at most.

    Returns:
        tuple[str, Backbone]: the text, and what was found of the backbone.

    Raises:
        ValueError, FileNotFoundError: with the argument, or what the folder lacks.
    """
    if method not in METHODS:
        raise ValueError(f'method must be one of {", ".join(METHODS)}, got {method!r}')
    if not 32 <= size <= 512:
        raise ValueError(f'size must be 32 to 512 pixels, got {size}')
    least = 4 if method == 'bce3s' else 2  # a warm-up, a descent, and a second stage
    if epochs < least:
        raise ValueError(f'epochs of {method} must be at least {least}, got {epochs}')
    if rate is not None and not rate > 0:
        raise ValueError(f'rate must be > 0, got {rate}')
    photos = look_at(data)
    total = sum(photos.counts)
    batch = (32 if total >= 320 else 16 if total >= 64 else 4) if batch_size is None else batch_size
    if not 2 <= batch <= total:
        raise ValueError(f'batch_size must be 2 to {total}, the training images, got {batch}')
    found = find_backbone(backbone, size, backbone_options)
    if pretrained and not found.weights:
        raise ValueError(f'{found.source} has no pretrained weights')
    if rate is None:
        rate = (RATE_ADAM if found.adam else RATES[method]) * batch / 32
    end = epochs - _stage2_epochs(method, epochs)
    warm = max(1, min(5, end // 10)) if warmup is None else warmup
    if not 1 <= warm < end:
        raise ValueError(f'warmup must be 1 to {end - 1} epochs, got {warm}')
    parts = [
        _header(out, method, found, photos, size, epochs, rate),
        _data(data, out, photos, found, size, batch, workers, method),
        _model(method, found, photos, epochs, pretrained),
        _schedule(method, found, epochs, rate, batch, total, warm),
        '# Runtime: logs, checkpoints, the checks that stop a run that cannot be right.\n'
        + runtime,
        _hooks(method, epochs, total, batch),
    ]
    return '\n'.join(parts), found


def _count(folder: Path, names: list[str]) -> list[int]:
    paths = [folder / name for name in names]
    return [sum(is_photo(p.name) for p in visible(path)) for path in paths]


def _header(out, method, backbone, photos, size, epochs, rate) -> str:
    counts = photos.counts
    chosen = 'the validation images' if photos.has_val else 'the test images (set some aside!)'
    name = shlex.quote(out.name)
    return f"""\
# {METHODS[method]}; {backbone.source}, {size} x {size} pixels, {epochs} epochs.
# {len(counts)} classes, {sum(counts)} training images, {max(counts)} to {min(counts)} a class.
# Written by "python -m mmlt new_config"; change it as you like. In the folder of this file:
#
#   python -m mmlt check {name}
#   python -m mmlt train {name}
#
# Nothing here was tuned on your photos. What to try first, looking at {chosen}:
# the rate, three times as much and a third, and twice the epochs:
#
#   python -m mmlt train {name} --work-dir work_dirs/rate3 \\
#       --cfg-options optim_wrapper.optimizer.lr={3 * rate:g}
"""


def _data(data, out, photos, backbone, size, batch, workers, method) -> str:
    num_classes, total = len(photos.counts), sum(photos.counts)
    kind = {'bce3s': 'MultiViewDataPreprocessor', 'bcl': 'MultiViewDataPreprocessor'}.get(method)
    preprocessor = (dict(type=kind) if kind else {}) | dict(num_classes=num_classes)
    if method == 'bcl':
        preprocessor['views'] = 'pipeline'
    preprocessor |= backbone.normalize
    val = 'val' if photos.has_val else 'test'
    lacks = dict(val=photos.val_lacks if photos.has_val else photos.test_lacks,
                 test=photos.test_lacks)  # fmt: skip
    missing = {part: ', allow_missing=True' if lacks[part] else '' for part in lacks}
    why = '# allow_missing: some classes are too small to have an image here.\n' * any(
        lacks.values()
    )
    last = '\n    drop_last=True,  # the last batch would be one image' * (total % batch == 1)
    return f"""\
# Data. Paths begin at the folder of this file.
data_root = {_from_here(data, out)}
class_counts = data_root + '/counts.json'
data_preprocessor = {_code(preprocessor)}

augment = [
    dict(type='RandomResizedCrop', scale={size}, crop_ratio_range=(0.35, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
]
{_train_pipeline(method)}
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale={round(size * 8 / 7)}, edge='short'),
    dict(type='CenterCrop', crop_size={size}),
    dict(type='PackInputs'),
]
photos = dict(type='PhotoFolder', data_root=data_root)
train_dataloader = dict(
    batch_size={batch},
    num_workers={workers},
    persistent_workers={workers > 0},{last}
    dataset=dict(photos, split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
{why}test_dataloader = dict(
    batch_size=64,
    num_workers={workers},
    persistent_workers={workers > 0},
    dataset=dict(photos, split='test'{missing['test']}, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_dataloader = dict(
    test_dataloader,
    dataset=dict(photos, split='{val}'{missing['val']}, pipeline=test_pipeline),
)
test_evaluator = dict(type='ShotAccuracy', class_counts=class_counts)
val_evaluator = test_evaluator
"""


def _train_pipeline(method: str) -> str:
    if method != 'bcl':
        return (
            "train_pipeline = [dict(type='LoadImageFromFile'), *augment, dict(type='PackInputs')]"
        )
    return """\
# View 0 is classified, views 1 and 2 are contrasted.
contrast_augment = [
    *augment,
    dict(type='NumpyToPIL', to_rgb=True),
    dict(type='torchvision/RandomGrayscale', p=0.2),
    dict(type='PILToNumpy', to_bgr=True),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiView', num_views=[1, 2], transforms=[augment, contrast_augment]),
    dict(type='PackInputs'),
]"""


def _model(method, backbone, photos, epochs, pretrained) -> str:
    spec = dict(backbone.spec)
    if pretrained:
        spec['init_cfg'] = dict(type='Pretrained', checkpoint=backbone.weights, prefix='backbone')
    linear = "\n        classifier=dict(type='torch.nn.Linear'),"
    balanced = "\n        joint=dict(type='BalancedSoftmaxLoss'),"
    kind, more = {
        'ce': ('TripartiteHead', linear + "\n        joint=dict(type='SoftmaxPairLoss'),"),
        'bs': ('TripartiteHead', linear + balanced),
        'dbm-bs': ('DBMHead', balanced),
        'bce3s': ('BCE3SHead', ''),
        'bcl': ('BCLHead', ''),
    }[method]
    pool = "\n    neck=dict(type='GlobalAveragePooling')," * backbone.pooled
    return f"""\
# Model.
model = dict(
    type='ImageClassifier',
    backbone={_code(spec, '    ')},{pool}
    head=dict(
        type='{kind}',
        num_classes={len(photos.counts)},
        in_channels={backbone.width},
        class_counts=class_counts,{more}
    ),
)
"""


def _schedule(method, backbone, epochs, rate, batch, total, warm) -> str:
    if backbone.adam:
        optimizer = dict(type='AdamW', lr=rate, weight_decay=0.05)
        clip = '\n    clip_grad=dict(max_norm=5.0),'
    else:
        optimizer = dict(type='SGD', lr=rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
        clip = ''
    end = epochs - _stage2_epochs(method, epochs)
    # The last epoch of a descent has its lowest rate: gamma brings back the first one.
    cosine = f'T_max={max(1, end - warm - 1)}, eta_min={rate / 100:g}, begin={warm}, end={end}'
    second = f"""
    # Stage 2: back to the first rate, and down again.
    dict(type='MultiStepLR', milestones=[{end}], gamma=100),
    dict(type='CosineAnnealingLR', T_max={epochs - end}, begin={end}, end={epochs}),"""
    second *= end < epochs
    return f"""\
# Schedule: {-(-total // batch)} steps an epoch; warm-up, then half a cosine.
optim_wrapper = dict(
    optimizer={_code(optimizer, '    ')},{clip}
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end={warm}, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', {cosine}),{second}
]
auto_scale_lr = dict(base_batch_size={batch})
train_cfg = dict(by_epoch=True, max_epochs={epochs}, val_interval=1)
val_cfg = dict()
test_cfg = dict()
"""


def _stage2_epochs(method: str, epochs: int) -> int:
    return max(1, epochs // 5) if method == 'bce3s' else 0


def _hooks(method: str, epochs: int, total: int, batch: int) -> str:
    begin = epochs - _stage2_epochs(method, epochs)
    second = f"""
# Stage 2 in the last epochs: the classifier alone, on the class-balanced loss.
default_hooks['retraining'] = dict(type='ClassifierRetrainingHook', begin_epoch={begin})
"""
    return (
        f"""\
default_hooks['logger']['interval'] = {max(1, -(-total // batch))}  # a line an epoch
"""
        + second * (begin < epochs)
    )


def _from_here(data: Path, out: Path) -> str:
    """The folder as an expression in the config: relative to it, if they are on one disk."""
    try:
        relative = os.path.relpath(data.resolve(), out.resolve().parent)
    except ValueError:  # another drive
        return json.dumps(str(data.resolve()))
    path = '{{ fileDirname }}/' + Path(relative).as_posix()
    return json.dumps(path, ensure_ascii=False)


def _code(value, indent: str = '') -> str:
    """``dict(a=1)`` rather than ``{'a': 1}``, on lines of its own if it is long."""
    if isinstance(value, dict) and all(
        isinstance(key, str) and key.isidentifier() for key in value
    ):
        parts = [f'{key}={_code(part, indent + "    ")}' for key, part in value.items()]
        line = f'dict({", ".join(parts)})'
        if len(line) + len(indent) < 80:
            return line
        return 'dict(' + ''.join(f'\n{indent}    {part},' for part in parts) + f'\n{indent})'
    if isinstance(value, list):
        return f'[{", ".join(_code(part, indent) for part in value)}]'
    return repr(value)
