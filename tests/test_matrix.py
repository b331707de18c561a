"""Families of mmpretrain's backbones x heads: two iterations and a validation each.

Slow: ``pytest -m slow tests/test_matrix.py``. The table of .github/MATRIX.md is printed by
``python tests/test_matrix.py``.
"""

import logging
import sys
import tempfile
import warnings
from pathlib import Path

import mmengine
import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmlt
from mmlt.engine.backbones import find_backbone

SIZE = 64
# The smallest model of each family.
FAMILIES = (
    *('resnet18', 'resnext50-32x4d', 'seresnet50', 'res2net50-w26-s8', 'densenet121', 'vgg11bn'),
    *('regnetx-400mf', 'mobilenet-v2', 'mobilenet-v3-small-050', 'shufflenet-v2-1x'),
    *('efficientnet-b0', 'repvgg-A0', 'mobileone-s0', 'convnext-v2-atto', 'van-tiny'),
    *('edgenext-xxsmall', 'poolformer-s12', 'deit-tiny', 'swin-tiny', 'mobilevit-xxsmall'),
)  # fmt: skip
HEADS = {
    'BCE3SHead': dict(views=('plain', 'mixup', 'cutmix')),
    'BCLHead': dict(views='pipeline'),
    'DBMHead': dict(views='plain'),
}


def config(backbone, head: str, work_dir) -> Config:
    """Digits, enlarged; two batches, one validation batch."""
    load = [dict(type='Resize', scale=SIZE, backend='cv2'), dict(type='PackInputs')]
    train = load
    if head == 'BCLHead':
        train = [dict(type='MultiView', transforms=[[load[0]]], num_views=[3]), load[1]]

    def loader(batches, split, pipeline):
        return dict(
            batch_size=8,
            num_workers=0,
            num_batch_per_epoch=batches,
            dataset=dict(type='DigitsLT', split=split, pipeline=pipeline),
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        )

    preprocessor = dict(type='MultiViewDataPreprocessor', num_classes=10, **HEADS[head])
    return Config(
        dict(
            default_scope='mmpretrain',
            work_dir=str(work_dir),
            log_level='ERROR',
            experiment_name=f'{Path(work_dir).name}',
            model=dict(
                type='ImageClassifier',
                backbone=backbone.spec,
                neck=dict(type='GlobalAveragePooling') if backbone.pooled else None,
                head=dict(type=head, num_classes=10, in_channels=backbone.width,
                          class_counts=[90, 80, 70, 60, 50, 40, 30, 20, 10, 5]),
                data_preprocessor=preprocessor | dict(mean=[127.5] * 3, std=[127.5] * 3),
            ),
            train_dataloader=loader(2, 'train', train),
            val_dataloader=loader(1, 'test', load),
            val_evaluator=dict(type='Accuracy'),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            val_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
            default_hooks=dict(checkpoint=None, finite_loss=dict(type='FiniteLossHook')),
            randomness=dict(seed=0),
        )
    )  # fmt: skip


def check(family: str, head: str, work_dir):
    """Train and validate; refuse what did not train or is no number; returns the backbone."""
    backbone = find_backbone(family, SIZE)
    runner = Runner.from_cfg(config(backbone, head, work_dir))
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.train()
    assert runner.iter == 2
    after = dict(runner.model.named_parameters())
    assert all(p.isfinite().all() for p in after.values())
    changed = [name for name, p in after.items() if not torch.equal(p, before[name])]
    for part in ('backbone.', 'head.classifier.'):
        assert any(name.startswith(part) for name in changed), f'{part} did not change'
    accuracy = runner.message_hub.get_scalar('val/accuracy/top1').current()
    assert 0 <= accuracy <= 100
    return backbone


@pytest.mark.slow
@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('family', FAMILIES)
def test_a_family_trains_with_a_head(family, head, tmp_path):
    check(family, head, tmp_path)


def main() -> None:
    """Print the table, a row a family."""
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    print(f'| family | model | parameters (M) | features | {" | ".join(HEADS)} |')
    print('| --- ' * (4 + len(HEADS)) + '|')
    for family in FAMILIES:
        cells, backbone = [], None
        for head in HEADS:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    backbone = check(family, head, folder)
                    cells.append('ok')
                except Exception as error:
                    cells.append(f'{type(error).__name__}: {str(error).splitlines()[0][:80]}')
        about = [family, '', '', '']
        if backbone is not None:
            about = [backbone.spec['type'], backbone.source, f'{backbone.parameters / 1e6:.1f}',
                     str(backbone.width)]  # fmt: skip
        print(f'| {" | ".join([*about, *cells])} |', flush=True)
    versions = dict(python=sys.version.split()[0], torch=torch.__version__,
                    mmengine=mmengine.__version__, mmpretrain=mmpretrain.__version__,
                    mmlt=mmlt.__version__)  # fmt: skip
    print('\n' + ', '.join(f'{name} {version}' for name, version in versions.items()))


if __name__ == '__main__':
    main()
