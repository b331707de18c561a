"""What tools/train.py does to a config for faster data: whole batches, and images in memory."""

from collections.abc import Sequence

from mmlt.config_file import type_name, with_pipeline

# The transforms that have a batched form, in the order in which they must stand.
_CIFAR = ('RandomCrop', 'RandomFlip', 'CifarAutoAugment', 'CifarCutout')
_SIM = (
    'RandomResizedCrop',
    'RandomFlip',
    'NumpyToPIL',
    'RandomApply',
    'torchvision/RandomGrayscale',
)


def augment_in_batches(cfg) -> None:
    """Let the data preprocessor do what the training pipeline of a config does to small images.

    The pipeline keeps what loads and packs. Its augmentation becomes ``data_preprocessor.augment``:
    RandomCrop, RandomFlip, CifarAutoAugment and CifarCutout a ``BatchCifarAugment``; resized crop,
    flip, colour jitter, grey and blur a ``BatchSimAugment``; a MultiView transform a list of them.
    The distribution is the same, the random draws are not.

    Args:
        cfg (mmengine.Config): Changed in place.

    Raises:
        ValueError: The pipeline does something that has no batched form here.
    """
    dataset = _training_set(cfg)
    load, augmentation, pack = _parts(dataset.pipeline)
    if len(augmentation) == 1 and type_name(augmentation[0]['type']) == 'MultiView':
        step = augmentation[0]
        numbers = step['num_views']
        numbers = [numbers] if isinstance(numbers, int) else numbers
        views = [_batched(t) for n, t in zip(numbers, step['transforms']) for _ in range(n)]
    else:
        views = _batched(augmentation)
    owner = cfg.model if cfg.model.get('data_preprocessor') else cfg
    if not owner.get('data_preprocessor'):
        owner.data_preprocessor = {}  # setdefault would keep a copy of what it returns
    preprocessor = owner.data_preprocessor
    kind = preprocessor.get('type', 'ClsDataPreprocessor')
    if kind == 'ClsDataPreprocessor':
        preprocessor.update(type='MultiViewDataPreprocessor', views='plain')
    elif kind != 'MultiViewDataPreprocessor':
        raise ValueError(f'data_preprocessor is a {kind}, which augments no batches')
    preprocessor['augment'] = views
    dataset.pipeline = [*load, *pack]


def keep_in_memory(cfg, max_mib: float) -> None:
    """Let the training set decode each file once, and keep its workers from epoch to epoch.

    Args:
        cfg (mmengine.Config): Changed in place.
        max_mib (float): Of :class:`mmlt.datasets.transforms.LoadImageOnce`.

    Raises:
        ValueError: ``max_mib`` is not positive, or the training pipeline reads no files.
    """
    if not max_mib > 0:
        raise ValueError(f'--in-memory must be > 0 MiB, got {max_mib:g}')
    dataset = _training_set(cfg)
    if not dataset.pipeline or type_name(dataset.pipeline[0]['type']) != 'LoadImageFromFile':
        raise ValueError('--in-memory: the training pipeline does not begin by LoadImageFromFile')
    dataset.pipeline[0].update(type='LoadImageOnce', max_mib=max_mib)
    cfg.train_dataloader.persistent_workers = cfg.train_dataloader.get('num_workers', 0) > 0


def _training_set(cfg):
    dataset = with_pipeline(cfg.train_dataloader.dataset)
    if 'pipeline' not in dataset:
        raise ValueError('train_dataloader.dataset has no pipeline')
    return dataset


def _parts(pipeline: Sequence[dict]) -> tuple[list, list, list]:
    """What loads, what augments, what packs."""
    steps = list(pipeline)
    load = [step for step in steps[:1] if type_name(step['type']).startswith('LoadImage')]
    pack = [step for step in steps[-1:] if type_name(step['type']) == 'PackInputs']
    return load, steps[len(load) : len(steps) - len(pack)], pack


def _batched(steps: Sequence[dict]) -> dict:
    kinds = [type_name(step['type']) for step in steps]
    if not kinds:
        return dict(type='BatchCifarAugment', padding=0, flip=0.0, auto_augment=False, cutout=0)
    if kinds[0] == 'RandomResizedCrop':
        return _sim(list(steps))
    by_kind = dict(zip(kinds, steps, strict=True))
    if len(by_kind) < len(kinds) or kinds != [kind for kind in _CIFAR if kind in by_kind]:
        raise ValueError(
            f'the transforms {kinds} have no batched form: those that have are {list(_CIFAR)}, in '
            f'this order, each once or not at all, and {list(_SIM)}'
        )
    crop = _take(by_kind.get('RandomCrop'), crop_size=None, padding=0)
    flip = _take(by_kind.get('RandomFlip'), prob=0.0, direction='horizontal')
    _take(by_kind.get('CifarAutoAugment'), is_bgr=None)
    hole = _take(by_kind.get('CifarCutout'), length=16)
    _same(flip['direction'], 'horizontal', 'RandomFlip', 'direction')
    return dict(
        type='BatchCifarAugment',
        size=crop['crop_size'],
        padding=crop['padding'],
        flip=flip['prob'],
        auto_augment='CifarAutoAugment' in by_kind,
        cutout=hole['length'] if 'CifarCutout' in by_kind else 0,
    )


def _sim(steps: list[dict]) -> dict:
    kinds = [type_name(step['type']) for step in steps]
    blur = dict(prob=0.0)
    if kinds[5:6] == ['RandomApply']:
        blur = _take(steps.pop(5), prob=0.5, transforms=None)
        (step,) = blur['transforms']
        _same(step['type'], 'torchvision/GaussianBlur', 'the second RandomApply', 'transforms')
        step = _take(step, kernel_size=None, sigma=(0.1, 2.0))
        _same(tuple(step['sigma']), (0.1, 2.0), 'GaussianBlur', 'sigma')
        _same(step['kernel_size'], 13, 'GaussianBlur', 'kernel_size')
        kinds.pop(5)
    _same(tuple(kinds), (*_SIM, 'PILToNumpy'), 'the pipeline', 'transforms')
    crop, flip, _, apply, grey, _ = steps
    crop = _take(crop, scale=None, crop_ratio_range=(0.08, 1.0), aspect_ratio_range=(3 / 4, 4 / 3))
    flip = _take(flip, prob=0.0, direction='horizontal')
    _same(flip['direction'], 'horizontal', 'RandomFlip', 'direction')
    apply = _take(apply, prob=0.5, transforms=None)
    (jitter,) = apply['transforms']
    _same(jitter['type'], 'torchvision/ColorJitter', 'RandomApply', 'transforms')
    jitter = _take(jitter, brightness=0, contrast=0, saturation=0, hue=0)
    return dict(
        type='BatchSimAugment',
        size=crop['scale'],
        area=tuple(crop['crop_ratio_range']),
        ratio=tuple(crop['aspect_ratio_range']),
        flip=flip['prob'],
        jitter=tuple(jitter.values()),
        jitter_prob=apply['prob'],
        grey=_take(grey, p=0.1)['p'],
        blur=blur['prob'],
    )


def _take(step: dict | None, **defaults) -> dict:
    """The arguments of a transform; what the batched form does not know is refused."""
    given = {key: value for key, value in (step or {}).items() if key != 'type'}
    if unknown := sorted(set(given) - set(defaults)):
        raise ValueError(f'{step["type"]}: {unknown} have no batched form')
    return defaults | given


def _same(got, wanted, where: str, what: str) -> None:
    if got != wanted:
        raise ValueError(f'{where}: {what}={got!r} has no batched form, {wanted!r} has')
