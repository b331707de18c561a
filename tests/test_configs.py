"""Every leaf config: it parses, its class counts agree, its model trains one step."""

import copy
import functools
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmlt

ROOT = Path(__file__).parents[1]
LEAVES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / 'configs').rglob('*.py')
    if not {'_base_', '_tables_'} & set(path.parts)
)


@functools.cache
def parsed(leaf):
    """A leaf's config, read once for all tests: what changes it takes a copy."""
    return Config.fromfile(ROOT / leaf)


def leaves_with_different_models():
    """One leaf for each model; leaves that differ in schedule or class counts share theirs."""
    models = {}
    for leaf in LEAVES:
        model = copy.deepcopy(parsed(leaf).model)
        model.head.pop('class_counts', None)
        models.setdefault(repr(model), leaf)
    return list(models.values())


def train_one_step(cfg):
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    num_classes = cfg.data_preprocessor.num_classes
    samples = [
        DataSample(metainfo=dict(sample_idx=k)).set_gt_label(k) for k in (0, num_classes - 1)
    ]
    for companion in getattr(model, 'companions', {}).values():
        if hasattr(companion, 'network'):  # a teacher without a checkpoint
            companion._build()
            companion.loaded = True
    if hasattr(model, 'tuner'):
        model.loaded = True  # a backbone without a checkpoint
    size = cfg.model.backbone.get('img_size', 64)
    images = torch.randint(256, (2, 3, size, size), dtype=torch.uint8)
    if cfg.data_preprocessor.get('views') == 'pipeline':
        images = [images, images.flip(3), images.flip(2)]
    if cfg.data_preprocessor.get('partner') == 'weighted':
        images = [images, images.flip(3)]
        for sample in samples:
            sample.set_field(torch.tensor([0]), 'partner_label', dtype=torch.Tensor)
    batch = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
    losses = model(**batch, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    return losses


@pytest.mark.parametrize('leaf', leaves_with_different_models())
def test_model_of_config_trains_one_step(leaf):
    cfg = copy.deepcopy(parsed(leaf))
    # Depth and memory do not change what is tested here, only the time it takes.
    teacher = cfg.model.get('companions', {}).get('teacher')
    backbone = cfg.model.backbone
    for part in (backbone, backbone.get('backbone', {}), teacher.model.backbone if teacher else {}):
        if part.get('depth', 0) > 56:  # not CIFAR's
            part.depth = 50
    head = cfg.model.head
    if head.get('neck', {}).get('size', 0) > 4096:
        head.neck.size = 4096
    if head.get('queue_size', 0) > 4096:
        head.queue_size, head.neck.base = head.num_classes + 100, 1
    if backbone.type == 'VisionTransformer' and isinstance(backbone.arch, str):
        cfg.model.backbone.arch = dict(
            embed_dims=768, num_layers=2, num_heads=12, feedforward_channels=3072
        )
    assert 'loss' in ''.join(train_one_step(cfg))


def test_head_swap_of_the_readme_trains(tmp_path):
    section = (ROOT / 'README.md').read_text().split('## Use a head in your own config')[1]
    swap, addition = re.findall('```python\n(.*?)```', section, re.DOTALL)
    config = tmp_path / 'swap.py'
    config.write_text(swap)
    assert set(train_one_step(Config.fromfile(config))) == {
        'loss_joint',
        'loss_contrast',
        'loss_uniform',
    }
    # The second block goes into the same file.
    (tmp_path / 'counts.json').write_text(str([3] * 1000))
    addition = addition.replace("'counts.json'", f"'{tmp_path / 'counts.json'}'")
    config.write_text(swap + addition)
    cfg = Config.fromfile(config)
    assert train_one_step(cfg)['loss_contrast'] == 0  # the bank is being filled
    assert cfg.val_evaluator.type == 'ShotAccuracy'


@pytest.mark.parametrize('leaf', LEAVES)
def test_class_counts_agree_in_config(leaf):
    cfg = parsed(leaf)
    counts = mmlt.load_class_counts(cfg.val_evaluator.class_counts)
    assert len(counts) == cfg.data_preprocessor.num_classes == cfg.model.head.num_classes
    assert cfg.test_evaluator.class_counts == cfg.val_evaluator.class_counts
    for part in (cfg.model.head, cfg.train_dataloader.dataset):
        if 'class_counts' in part:
            assert mmlt.load_class_counts(part.class_counts) == counts


@pytest.mark.parametrize('leaf', LEAVES)
def test_schedule_ends_with_training(leaf):
    cfg = parsed(leaf)
    schedulers = cfg.param_scheduler
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    last = schedulers[-1]
    # mmpretrain's own schedules name neither T_max nor end: they run to the last epoch.
    max_epochs = cfg.train_cfg.max_epochs
    length = last.get('T_max', last.get('end', max_epochs) - last.get('begin', 0))
    assert last.get('begin', 0) + length == max_epochs


@pytest.mark.parametrize('leaf', LEAVES)
def test_leaf_is_short_and_says_how_it_was_run(leaf):
    text = (ROOT / leaf).read_text()
    assert len(text.splitlines()) <= 40
    assert text.startswith('#')


@pytest.mark.parametrize('layout', ['pickle', 'folder'])
@pytest.mark.parametrize('name', ['cifar10', 'cifar100'])
def test_cifar_switch_selects_the_layout(name, layout, monkeypatch):
    monkeypatch.setenv('MMLT_CIFAR', layout)
    cfg = Config.fromfile(ROOT / f'configs/bce3s/resnet32_{name}-lt-if100.py')
    wanted = {'pickle': name.upper(), 'folder': 'CustomDataset'}[layout]
    assert cfg.train_dataloader.dataset.dataset.type == wanted
    assert cfg.val_dataloader.dataset.type == wanted
    first = cfg.test_dataloader.dataset.pipeline[0].type
    assert (first == 'LoadImageFromFile') == (layout == 'folder') == cfg.data_preprocessor.to_rgb
