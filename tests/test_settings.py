"""Every config against the settings of the papers, tests/reference/settings.py, key by key."""

import copy
import functools
import math
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS, PARAM_SCHEDULERS
from reference.settings import NEEDED, SETTINGS

import mmlt  # noqa: F401
from mmlt.models.tuners import adapter_width

CONFIGS = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if not {'_base_', '_tables_'} & set(path.parts)
)
# What the table does not name must not be there.
EXTRAS = (
    'retraining', 'reweighting', 'max_norm', 'drift', 'margin', 'partner', 'power', 'negatives',
    'sampler', 'correct_lam', 'accumulation', 'ties', 'taus', 'companions', 'queue', 'distillation',
    'undecayed', 'sync_bn', 'drop_last', 'tuner', 'start',
)  # fmt: skip


@functools.cache
def config(leaf: str) -> Config:
    """A config, read once; not to be changed."""
    return Config.fromfile(CONFIGS / leaf)


def wanted(leaf: str) -> dict:
    """The settings of the table that apply to a config."""
    settings = {}
    for patterns, values, source in SETTINGS:
        if any(fnmatch(leaf.removesuffix('.py'), pattern) for pattern in patterns):
            assert source
            settings |= values
    return dict.fromkeys(EXTRAS) | settings


def audit(leaf: str, cfg: Config) -> list[str]:
    """What in a config is not as the table has it: key, found, wanted."""
    settings, found = wanted(leaf), facts(leaf, cfg)
    faults = [f'{key}: not in the table' for key in needed(leaf) - set(settings)]
    for key, value in settings.items():
        if key in ('rates', 'train view', 'train views', 'test view') and value is None:
            continue
        actual = rates(cfg, value) if key == 'rates' else found.get(key)
        if actual != value:
            faults.append(f'{key}: {actual!r}, wanted {value!r}')
    return faults


def needed(leaf: str) -> set:
    return set() if leaf.startswith('mixins') else set(NEEDED)


def facts(leaf: str, cfg: Config) -> dict:
    """A config in the words of the table."""
    return data_facts(cfg) | training_facts(leaf, cfg) | model_facts(cfg) | hook_facts(cfg)


def data_facts(cfg: Config) -> dict:
    prep = cfg.data_preprocessor
    views = prep.get('views', ('plain', 'mixup', 'cutmix'))
    found = {f'{part} images': images(cfg[f'{part}_dataloader'].dataset)
             for part in ('train', 'val', 'test')}  # fmt: skip
    sampler = cfg.train_dataloader.sampler
    train, test = (innermost(cfg[f'{part}_dataloader'].dataset).pipeline
                   for part in ('train', 'test'))  # fmt: skip
    return found | {
        'classes': prep.num_classes,
        'counts': cfg.val_evaluator.class_counts,
        'mean': tuple(round(value / 255, 5) for value in prep.mean),
        'std': tuple(round(value / 255, 5) for value in prep.std),
        'to_rgb': prep.get('to_rgb', False),
        'views': (views,) if views == 'pipeline' else tuple(views),
        'train views': train_views(train),
        'test view': [text(step) for step in steps(test)],
        'partner': prep.get('partner') if prep.get('partner') != 'batch' else None,
        'correct_lam': prep.get('correct_lam'),
        'power': cfg.train_dataloader.dataset.get('power')
        if images_power_matters(cfg) else None,
        'sampler': f'{sampler.type} {sampler.power}' if 'power' in sampler else None,
    }  # fmt: skip


def images_power_matters(cfg: Config) -> bool:
    """weighted-partner is an example of another power; the published run's is in the table."""
    return cfg.train_dataloader.dataset.get('power') == 0.0


def innermost(dataset):
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def images(dataset) -> str:
    """Which images a dataset reads."""
    inner, drawn = innermost(dataset), dataset
    if 'ann_file' in inner:
        return Path(inner.ann_file).name
    while 'dataset' in drawn and drawn.type != 'LongTailedDataset':
        drawn = drawn.dataset
    if drawn.type != 'LongTailedDataset':
        return inner.split
    return f'{inner.split}, {drawn.get("split", "ldam")} {drawn.get("seed", 0)}'


def steps(pipeline) -> list:
    return [step for step in pipeline if step.type not in ('LoadImageFromFile', 'PackInputs')]


def train_views(pipeline) -> list[list[str]]:
    views = steps(pipeline)
    if len(views) == 1 and views[0].type == 'MultiView':
        numbers = zip(views[0].num_views, views[0].transforms)
        return [[text(step) for step in part] for number, part in numbers for _ in range(number)]
    return [[text(step) for step in views]]


def text(step) -> str:
    name = step.type.removeprefix('torchvision/')
    if name == 'RandomApply':
        return f'{step.prob}: {text(step.transforms[0])}'
    if name == 'RandAugment':
        assert step.total_level == 10
        return (
            f'RandAugment(n={step.num_policies}, m={step.magnitude_level}, '
            f'std={step.magnitude_std}, {len(step.policies)} operations, '
            f'pad={step.hparams.pad_val})'
        )
    options = {key: value for key, value in sorted(step.items()) if key != 'type'}
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return f'{name}({", ".join(f"{key}={value}" for key, value in options.items())})'


def training_facts(leaf: str, cfg: Config) -> dict:
    optimizer = cfg.optim_wrapper.optimizer
    return {
        'epochs': cfg.train_cfg.max_epochs,
        'batch': cfg.train_dataloader.batch_size * processes(leaf),
        'accumulation': cfg.optim_wrapper.get('accumulative_counts'),
        'optimizer': optimizer.type,
        'momentum': optimizer.get('momentum'),
        'decay': optimizer.weight_decay,
        'undecayed': [key for key in ('log_temperature',) if decay_of(cfg, key) == 0] or None,
        'sync_bn': cfg.get('sync_bn'),
        'drop_last': cfg.train_dataloader.get('drop_last'),
    }


def decay_of(cfg: Config, key: str) -> float:
    """By what the weight decay of parameters of this name is multiplied."""
    keys = cfg.optim_wrapper.get('paramwise_cfg', {}).get('custom_keys', {})
    return keys.get(key, {}).get('decay_mult', 1.0)


def processes(leaf: str) -> int:
    """Of the command in the header of a config, or else in that of the one it is made of."""
    source = (CONFIGS / leaf).read_text()
    found = re.search(r'dist_train\.sh (?:\\\n#)?\s*\S+ (\d+)|--gpus (\d+)', source)
    if found:
        return int(found[1] or found[2])
    base = re.search(r"^_base_ = '(\S+)'", source, re.MULTILINE)
    if not base or '::' in base[1] or re.search(r'python tools/train(_two_stage)?\.py', source):
        return 1
    return processes((CONFIGS / leaf).parent.joinpath(base[1]).resolve()
                     .relative_to(CONFIGS).as_posix())  # fmt: skip


def rates(cfg: Config, epochs: dict) -> dict:
    """The learning rate of each of these epochs: the wanted number where it is that one."""
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=cfg.optim_wrapper.optimizer.lr)
    specs = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    if any(spec.get('convert_to_iter_based') for spec in specs):
        return {}
    early = cfg.default_hooks.param_scheduler.type == 'EarlyParamSchedulerHook'
    end = cfg.train_cfg.max_epochs + early  # as the Runner, and then the hook, have it
    schedulers = [
        PARAM_SCHEDULERS.build({'end': end} | dict(spec, optimizer=optimizer)) for spec in specs
    ]
    found = {}
    for epoch in range(1, cfg.train_cfg.max_epochs + 1):
        if early or epoch > 1:
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
        rate = optimizer.param_groups[0]['lr']
        if epoch in epochs:
            same = math.isclose(rate, epochs[epoch], rel_tol=1e-3, abs_tol=1e-12)
            found[epoch] = epochs[epoch] if same else rate
    return found


def model_facts(cfg: Config) -> dict:
    start = cfg.model.head.get('init_cfg', {}).get('file')
    found = {'network': network(cfg.model.backbone), 'companions': companions(cfg.model)}
    found |= {'tuner': tuner(cfg.model), 'start': start and Path(start).name}
    return found | head_facts(cfg.model.head.to_dict())


def companions(model) -> list[str] | None:
    """What runs beside the model, on which views, and on which views the model runs."""
    if 'companions' not in model:
        return None
    found = [f'the model on {tuple(model.get("views", (0,)))}']
    for spec in model.companions.values():
        companion = MODELS.build(spec.to_dict())
        what = getattr(companion, 'momentum', None) or network(spec.model.backbone)
        found.append(f'{spec.type} {what} on {companion.views}')
    return found


def tuner(model) -> str | None:
    """What is trained of a frozen backbone, and by which rule as wide as it is."""
    if 'tuner' not in model:
        return None
    rule = adapter_width(model.head.num_classes, 12)
    by_rule = ', by the rule' if model.tuner.width == rule else ''
    return f'{model.tuner.type} {model.tuner.width}{by_rule}, saved: {model.get("saved", "all")}'


def head_facts(spec: dict) -> dict:
    """What the built head has, whatever its config leaves to a preset."""
    head = MODELS.build(spec)
    if hasattr(head, 'experts'):
        return expert_facts(head, spec)
    return single_head_facts(head, spec)


def expert_facts(head, spec: dict) -> dict:
    """The facts that all experts have in common; a list where they differ, and what ties them."""
    every = [single_head_facts(inner, {'type': spec['type']}) for inner in head.experts]
    found = {key: value if all(other[key] == value for other in every) else
             [other[key] for other in every] for key, value in every[0].items()}  # fmt: skip
    taus = [getattr(inner.loss_module, 'tau', 1.0) for inner in head.experts]
    ties = [
        f'{type(tie).__name__} x {tie.loss_weight}'
        + (f', {tie.num_hard} {tie.hard_mask}, distillation {tie.distillation_weight}'
           if hasattr(tie, 'num_hard') else '')
        for tie in head.slots.values()
    ]  # fmt: skip
    return found | {'ties': ties or None, 'taus': None if set(taus) == {1.0} else taus}


def single_head_facts(head, spec: dict) -> dict:
    slots = dict(head.slots)
    contrast, uniform = slots.get('contrast'), slots.get('uniform')
    joint, criterion = joint_name(head.loss_module, spec), getattr(contrast, 'criterion', None)
    if spec['type'] == 'BCLHead':
        joint += f' x {head.loss_module.loss_weight}'
    layers = getattr(contrast, 'projector', getattr(contrast, 'embedding', ()))
    projector = [part for part in layers if isinstance(part, torch.nn.Linear)]
    queue, base = getattr(contrast, 'queue', ()), (spec.get('neck') or {}).get('base', 2)
    distillation = slots.get('distillation')
    return {
        'width': head.in_channels,
        'head': spec['type'],
        'classifier': classifier(head.classifier),
        'joint': joint,
        'contrast': criterion and f'{type(criterion).__name__} x {criterion.loss_weight}',
        'uniform': uniform
        and f'{type(uniform.criterion).__name__} x {uniform.criterion.loss_weight}',
        'ratio': getattr(head.loss_module, 'negative_ratio', None),
        'negatives': 'batch'
        if getattr(head.loss_module, 'negative_sampling', None) == 'batch'
        else None,
        'temperature': temperature(contrast, criterion),
        'reduction': getattr(contrast, 'reduction', None),
        'hidden': projector[0].out_features if projector else None,
        'out': projector[-1].out_features if projector else None,
        'margin': margin(head),
        'queue': (f'{len(queue)}, base {base}' if hasattr(contrast, 'sizes') else len(queue))
        or None,
        'distillation': distillation
        and f'{distillation.loss_weight}, T {distillation.temperature}',
    }


def temperature(contrast, criterion) -> float | None:
    if hasattr(contrast, 'log_temperature'):
        return round(contrast.log_temperature.exp().item(), 6)
    return getattr(contrast, 'temperature', getattr(criterion, 'temperature', None))


def joint_name(criterion, spec: dict) -> str:
    name = type(criterion).__name__
    if name == 'ClassBalancedLoss':
        return f'{name}({spec["joint"].get("beta", 0.9999)}, {type(criterion.criterion).__name__})'
    return f'{name}({criterion.gamma})' if hasattr(criterion, 'gamma') else name


def classifier(layer) -> str:
    name = type(layer).__name__.replace('TauNormLinear', 'Linear')
    return f'{name} x {layer.scale}' if name.startswith('Cosine') else name


def margin(head) -> str | None:
    """Largest margin, how the margins go with the counts, and the samples that get more."""
    layer = head.slots['joint'].margin
    if layer is None:
        return None
    margins, counts = layer.class_margin.double(), head.class_counts.double()
    spread = (margins.max() / margins.min()).log() / (counts.max() / counts.min()).log()
    name = f'{margins.max():.4g}, tau {spread:.4g}'
    return f'{name}, {layer.instance_margin}' if hasattr(layer, 'instance_margin') else name


def network(backbone) -> str:
    if backbone.type == 'MultiExpertBackbone':
        shared = backbone.get('shared_stages', 0)
        name = f'{backbone.get("num_experts", 3)} x {network(backbone.backbone)}'
        return f'{name}, {shared} stages shared' if shared else name
    keys = ('depth', 'arch', 'width', 'groups', 'width_per_group')
    name = f'{backbone.type}({", ".join(f"{k}={backbone[k]}" for k in keys if k in backbone)})'
    if backbone.type in ('ResNet', 'ResNeXt', 'ResNet_CIFAR'):
        name += f', last BatchNorm {int(not backbone.get("zero_init_residual", True))}'
    if backbone.type == 'VisionTransformer':
        act = backbone.get('layer_cfgs', dict(act_cfg=dict(type='GELU')))['act_cfg']['type']
        name = name if isinstance(backbone.arch, str) else 'VisionTransformer(tiny)'
        name += ', ' + act.removeprefix('mmpretrain.') + ', checkpoint' * ('init_cfg' in backbone)
    elif backbone.get('init_cfg'):
        name += f', {backbone.init_cfg.checkpoint}'
    return name


def hook_facts(cfg: Config) -> dict:
    hooks = cfg.default_hooks
    found = {'drift': True if 'batch_norm_drift' in hooks else None}
    if 'max_norm' in hooks:
        found['max_norm'] = hooks.max_norm.get('ratio', 0.1)
    if 'reweighting' in hooks:
        hook = hooks.reweighting
        found['reweighting'] = f'from {hook.begin_epoch}, beta {hook.get("beta", 0.9999)}'
    if 'retraining' in hooks:
        hook = hooks.retraining
        joint, decay = hook.get('joint') or {}, f', decay {hook.get("weight_decay", 0.0)}'
        kind = f'beta {joint.get("beta", 0.9999)}' if joint != 'softmax' else 'cRT'
        kind, decay = ('LWS', '') if 'trained' in hook else (kind, decay)
        found['retraining'] = f'from {hook.begin_epoch}, {kind}{decay}'
    return found


@pytest.mark.parametrize('leaf', LEAVES)
def test_every_config_has_the_settings_of_its_paper(leaf):
    assert audit(leaf, config(leaf)) == []


def test_every_row_of_the_table_concerns_some_config():
    names = [leaf.removesuffix('.py') for leaf in LEAVES]
    for patterns, _, _ in SETTINGS:
        for pattern in patterns:
            assert any(fnmatch(name, pattern) for name in names), pattern


@pytest.mark.parametrize('leaf', [leaf for leaf in LEAVES if not leaf.startswith('mixins')])
def test_the_command_in_the_header_trains_with_the_batch_of_the_rate(leaf):
    cfg = config(leaf)
    assert training_facts(leaf, cfg)['batch'] == cfg.auto_scale_lr.base_batch_size


WRONG = {
    'mean and std reversed': (
        'bce3s/resnet50_imagenet-lt.py', 'mean',
        lambda cfg: cfg.data_preprocessor.update(mean=[103.53, 116.28, 123.675],
                                                 std=[57.375, 57.12, 58.395]),
    ),
    'no padding': (
        'dbm/dbm-bs_resnet32_cifar100-lt-if100.py', 'train views',
        lambda cfg: cfg.train_dataloader.dataset.dataset.pipeline[0].pop('padding'),
    ),
    "AutoAugment's channels inverted": (
        'bcl/resnet32_cifar10-lt-if100.py', 'train views',
        lambda cfg: cfg.train_dataloader.dataset.dataset.pipeline[0].transforms[0][2]
        .update(is_bgr=True),
    ),
    'tested on the training list': (
        'bce3s/resnext50_imagenet-lt.py', 'test images',
        lambda cfg: cfg.test_dataloader.dataset.update(
            ann_file=cfg.train_dataloader.dataset.ann_file),
    ),
    'no warm-up': (
        'dbm/dbm-ce_resnet32_cifar10-lt-if100.py', 'rates',
        lambda cfg: cfg.param_scheduler.pop(0),
    ),
    'weight decay times 10': (
        'bcl/resnet50_inat2018.py', 'decay',
        lambda cfg: cfg.optim_wrapper.optimizer.update(weight_decay=1e-3),
    ),
    'no resize in the test': (
        'bce3s/resnet50_inat2018.py', 'test view',
        lambda cfg: cfg.test_dataloader.dataset.pipeline.pop(1),
    ),
    'iNaturalist with the mean of ImageNet': (
        'dbm/dbm-bs_resnet50_inat2018.py', 'mean',
        lambda cfg: cfg.data_preprocessor.update(mean=[123.675, 116.28, 103.53]),
    ),
    'blocks that start at zero': (
        'ce3s/resnet34_cifar100-lt-if100.py', 'network',
        lambda cfg: cfg.model.backbone.pop('zero_init_residual'),
    ),
    'another temperature': (
        'dbm/dbm-bcl_resnet50_imagenet-lt.py', 'temperature',
        lambda cfg: cfg.model.head.update(temperature=0.07),
    ),
    'no blur in the keys': (
        'ncl/dbm-ncl_resnet32_cifar10-lt-if100.py', 'train views',
        lambda cfg: cfg.train_dataloader.dataset.dataset.pipeline[0].transforms[1].pop(-2),
    ),
    'the teacher sees the compared view': (
        'gml/gml_resnet50_imagenet-lt.py', 'companions',
        lambda cfg: cfg.model.companions.teacher.update(views=(0, 1)),
    ),
    'weight decay of the temperature': (
        'gml/dbm-gml_resnet32_cifar10-lt-if100.py', 'undecayed',
        lambda cfg: cfg.optim_wrapper.pop('paramwise_cfg'),
    ),
    'no re-weighting': (
        'dbm/dbm-drw_resnet32_cifar10-lt-if100.py', 'reweighting',
        lambda cfg: cfg.default_hooks.pop('reweighting'),
    ),
}  # fmt: skip


@pytest.mark.parametrize('wrong', WRONG)
def test_a_wrong_config_is_found(wrong):
    leaf, key, change = WRONG[wrong]
    cfg = copy.deepcopy(config(leaf))
    change(cfg)
    assert key in [fault.split(':')[0] for fault in audit(leaf, cfg)]


@pytest.mark.parametrize('layout', ['pickle', 'folder'])
def test_the_channels_of_cifar_are_of_one_mind(layout, monkeypatch):
    monkeypatch.setenv('MMLT_CIFAR', layout)
    cfg = Config.fromfile(CONFIGS / 'dbm/dbm-bcl_resnet32_cifar100-lt-if100.py')
    pipeline = cfg.train_dataloader.dataset.dataset.pipeline
    (views,) = (step for step in pipeline if step.type == 'MultiView')
    (auto, sim), bgr = views.transforms, layout == 'folder'
    assert cfg.data_preprocessor.to_rgb is auto[2].is_bgr is sim[2].to_rgb is sim[-1].to_bgr is bgr
