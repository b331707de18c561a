"""A checkpoint to hand on: what a test needs, and what says where it comes from."""

import hashlib
import io
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import mmpretrain
import torch

from mmlt import checkpoint as checkpoints
from mmlt.checkpoint import TRAINING_ONLY, CheckpointError
from mmlt.files import write_whole

# A published file names nobody's folders: neither these, nor what leads to a file or folder.
_PRIVATE = re.compile(r'^(work_dir|load_from) = .*$', re.MULTILINE)
_ABSOLUTE = re.compile(r"""(['"])(?:~?/|[A-Za-z]:[\\/])[^'"\n]*?([^'"\n\\/]+)[\\/]?\1""")


def publish(source, target) -> tuple[Path, dict, dict]:
    """Write a checkpoint without what only training needs.

    Left out are optimizer, schedulers, logs, projectors, memory, companions and, beside averaged
    weights, those that were averaged. Kept are the weights of the test, class names and counts, the
    hash of the training images, the config, epoch, seed and versions. The file holds tensors and
    text alone, so it loads without mmlt, too.

    Args:
        source (str | PathLike | dict): checkpoint of a training; what was loaded of one.
        target (str | PathLike): ``NAME.pth``; becomes ``NAME-HASH.pth`` with the first eight digits
            of the file's SHA-256, which torch.hub compares when it downloads.

    Returns:
        tuple[Path, dict, dict]: the file; the bytes of each part before, and after.

    Raises:
        CheckpointError: a file that is no checkpoint of a training.
        FileExistsError: the target is there.
        ValueError: the target does not end in ``.pth``.
    """
    target = Path(target)
    if target.suffix != '.pth':
        raise ValueError(f'the published file must end in .pth, got {target}')
    before = source
    if not isinstance(source, dict):
        before = checkpoints.load(source, map_location='cpu')
    if not isinstance(before, dict) or 'state_dict' not in before or 'meta' not in before:
        raise CheckpointError(f'{source} is no checkpoint of a training: no state_dict, or no meta')
    hub = (before.get('message_hub') or {}).get('runtime_info') or {}
    after = dict(
        meta=_meta(before['meta'], hub.get('training_draw')),
        state_dict={
            name: value.clone()  # a view would drag along what it is a view of
            for name, value in before['state_dict'].items()
            if not _only_trains(name)
        },
    )
    file = io.BytesIO()
    torch.save(after, file)
    content = file.getvalue()
    target = target.with_name(f'{target.stem}-{hashlib.sha256(content).hexdigest()[:8]}.pth')
    if target.exists():
        raise FileExistsError(f'{target} exists and is left as it is')
    write_whole(target, content)
    checkpoints.load(target)
    return target, sizes(before), sizes(after)


def without_folders(config: str) -> str:
    """The text of a config without work dir and checkpoint, of other paths the last part.

    Example:
        >>> without_folders("data_root = '/home/me/birds'")
        "data_root = 'birds'"
    """
    return _ABSOLUTE.sub(r'\1\2\1', _PRIVATE.sub(r'\1 = None', config))


def sizes(checkpoint: dict) -> dict[str, int]:
    """Bytes of the tensors in each part of a checkpoint.

    Example:
        >>> sizes(dict(state_dict={'a': torch.zeros(3), 'head.slots.contrast.bank': torch.ones(2)}))
        {'weights': 12, 'weights for training': 8}
    """
    found = {}
    for part, content in checkpoint.items():
        for name, number in _tensors(content):
            label = 'weights' if part == 'state_dict' else part
            if part == 'state_dict' and _only_trains(name):
                label = 'weights for training'
            found[label] = found.get(label, 0) + number
    return found


def _only_trains(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in TRAINING_ONLY)


def _tensors(content, name=''):
    if isinstance(content, torch.Tensor):
        yield name, content.numel() * content.element_size()
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _tensors(value, name or str(key))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _tensors(value, name)


def _meta(meta: dict, draw: str | None) -> dict:
    kept = {
        key: meta[key]
        for key in ('cfg', 'dataset_meta', 'epoch', 'iter', 'seed', 'time', 'mmengine_version')
        if key in meta
    }
    if isinstance(kept.get('cfg'), str):
        kept['cfg'] = without_folders(kept['cfg'])
    kept['mmpretrain_version'] = mmpretrain.__version__
    kept['mmlt_version'] = sys.modules['mmlt'].__version__  # the package stands above its parts
    if draw or meta.get('training_draw'):
        kept['training_draw'] = draw or meta['training_draw']
    return kept
