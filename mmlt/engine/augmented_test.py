"""Test-time augmentation made from the test pipeline of a config."""

from copy import deepcopy

from mmengine.config import Config, ConfigDict

from mmlt.config_file import with_pipeline
from mmlt.datasets.transforms import PLACES


def with_tta(cfg: Config, flag: str) -> Config:
    """The config with test-time augmentation: that of a flag, or the config's own for ``--tta``.

    Args:
        cfg (Config): is left as it is.
        flag (str): '--tta', the mirror image, or '--five-crop'.

    Raises:
        ValueError: a test pipeline in which there is no place for it.
    """
    cfg = deepcopy(cfg)
    # A config of classes may have no default scope, in which names are looked for.
    scope = '' if cfg.get('default_scope') else 'mmpretrain.'
    cfg.setdefault('tta_model', dict(type=f'{scope}AverageLogitsTTA'))
    dataset = with_pipeline(cfg.test_dataloader.dataset)
    if 'pipeline' not in dataset:
        raise ValueError(f'{flag} needs one pipeline, {dataset.type} has none or several')
    if flag == '--tta' and 'tta_pipeline' in cfg:
        if not any('TestTimeAug' in str(step['type']) for step in cfg.tta_pipeline):
            raise ValueError('--tta: tta_pipeline must end with a TestTimeAug')
        dataset.pipeline = cfg.tta_pipeline
    elif not dataset.pipeline or 'PackInputs' not in str(dataset.pipeline[-1]['type']):
        what = 'a flip' if flag == '--tta' else 'its crops'
        raise ValueError(
            f'{flag} puts {what} before PackInputs, with which the test pipeline must end; '
            'or give the config a tta_pipeline'
        )
    else:
        passes = flipped if flag == '--tta' else five_crops
        steps, augmented, rest = passes(deepcopy(dataset.pipeline[:-1]), scope)
        last = [deepcopy(dataset.pipeline[-1])]
        tta = dict(type='TestTimeAug', transforms=[augmented, *([step] for step in rest), last])
        dataset.pipeline = [*steps, tta]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    return cfg


# The plain image first: what is not averaged, such as features, is that of the first pass.


def flipped(steps: list, scope: str) -> tuple[list, list, list]:
    """What is done before the passes, what each pass does, what all do after it."""
    return steps, [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)], []


def five_crops(steps: list, scope: str) -> tuple[list, list, list]:
    """The same for five crops in place of the one at the centre."""
    names = [str(getattr(step['type'], '__name__', step['type'])) for step in steps]
    at = {
        name: next((i for i, found in enumerate(names) if found.split('.')[-1] == name), None)
        for name in ('ResizeEdge', 'CenterCrop')
    }
    resize, crop = at.values()
    if resize is None or crop is None or resize > crop:
        raise ValueError(
            f'--five-crop needs a test pipeline with ResizeEdge and then CenterCrop, got {names}'
        )
    size = steps[crop]['crop_size']
    if not isinstance(size, int) or steps[resize].get('edge', 'short') != 'short':
        raise ValueError('--five-crop needs a square CenterCrop and a short ResizeEdge')
    steps[resize]['scale'] = round(size * 248 / 224)
    crops = [dict(type=f'{scope}PlaceCrop', crop_size=size, place=place) for place in PLACES]
    return steps[:crop], crops, steps[crop + 1 :]
